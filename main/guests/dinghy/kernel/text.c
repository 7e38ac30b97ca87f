// Memory, string and formatting routines, shared by the kernel and by user programs.
#include "base.h"

void *memcpy(void *to, const void *from, uptr bytes) {
    void *result = to;
    uptr words = bytes / sizeof(uptr);
    bytes %= sizeof(uptr);
#ifdef __x86_64__
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
#else
    __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
#endif
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return result;
}

void *memmove(void *to, const void *from, uptr bytes) {
    if ((uptr)to - (uptr)from >= bytes) return memcpy(to, from, bytes);
    u8 *t = (u8 *)to + bytes;
    const u8 *f = (const u8 *)from + bytes;
    while (bytes--) *--t = *--f;
    return to;
}

void *memset(void *to, int value, uptr bytes) {
    void *result = to;
    uptr fill = (u8)value * (~(uptr)0 / 255);
    uptr words = bytes / sizeof(uptr);
    bytes %= sizeof(uptr);
#ifdef __x86_64__
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(fill) : "memory");
#else
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(words) : "a"(fill) : "memory");
#endif
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(fill) : "memory");
    return result;
}

int memcmp(const void *a, const void *b, uptr bytes) {
    const u8 *x = a, *y = b;
    for (; bytes; bytes--, x++, y++)
        if (*x != *y) return *x - *y;
    return 0;
}

uptr strlen(const char *s) {
    uptr n = 0;
    while (s[n]) n++;
    return n;
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, uptr n) {
    for (; n; n--, a++, b++) {
        if (*a != *b) return (u8)*a - (u8)*b;
        if (!*a) return 0;
    }
    return 0;
}

void strcopy(char *to, const char *from, uptr size) {
    uptr n = 0;
    for (; n + 1 < size && from[n]; n++) to[n] = from[n];
    to[n] = 0;
}

const char *strchr(const char *s, int c) {
    for (;; s++) {
        if (*s == (char)c) return s;
        if (!*s) return NULL;
    }
}

const char *strstr(const char *s, const char *what) {
    uptr n = strlen(what);
    for (; *s; s++)
        if (strncmp(s, what, n) == 0) return s;
    return n ? NULL : s;
}

u64 number(const char *s, const char **end) {
    u64 value = 0;
    u32 base = 10;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) base = 16, s += 2;
    for (;; s++) {
        u32 digit = *s >= '0' && *s <= '9' ? *s - '0' : (*s | 32) >= 'a' && (*s | 32) <= 'f' ? (*s | 32) - 'a' + 10 : 99;
        if (digit >= base) break;
        value = value * base + digit;
    }
    if (end) *end = s;
    return value;
}

struct sink { char *out; uptr size, length; };

static void put(struct sink *sink, char c) {
    if (sink->length + 1 < sink->size) sink->out[sink->length] = c;
    sink->length++;
}

int vformat(char *out, uptr size, const char *form, __builtin_va_list arguments) {
    struct sink sink = {out, size, 0};
    for (; *form; form++) {
        if (*form != '%') {
            put(&sink, *form);
            continue;
        }
        bool left = false, zero = false, sign = false;
        int width = 0, longs = 0;
        for (form++; *form == '-' || *form == '0'; form++) *form == '-' ? (left = true) : (zero = true);
        for (; *form >= '0' && *form <= '9'; form++) width = width * 10 + *form - '0';
        for (; *form == 'l'; form++) longs++;
        char digits[24];
        const char *text = digits;
        int n = 0;
        switch (*form) {
        case 's':
            text = __builtin_va_arg(arguments, const char *);
            if (!text) text = "(none)";
            n = strlen(text);
            zero = false;
            break;
        case 'c':
            digits[n++] = (char)__builtin_va_arg(arguments, int);
            break;
        case 'd': case 'u': case 'x': case 'p': {
            u64 value;
            if (*form == 'p') value = (uptr)__builtin_va_arg(arguments, void *);
            else if (longs > 1) value = __builtin_va_arg(arguments, u64);
            else if (longs == 1) value = *form == 'd' ? (u64)(s64)__builtin_va_arg(arguments, long) : __builtin_va_arg(arguments, uptr);
            else value = *form == 'd' ? (u64)(s64)__builtin_va_arg(arguments, int) : __builtin_va_arg(arguments, u32);
            if (*form == 'd' && (s64)value < 0) sign = true, value = -value;
            u32 base = *form == 'd' || *form == 'u' ? 10 : 16;
            char *p = digits + sizeof digits;
            do {
                if (value <= 0xffffffff) {
                    u32 low = (u32)value;
                    *--p = "0123456789abcdef"[low % base];
                    value = low / base;
                } else {
                    *--p = "0123456789abcdef"[value % base];
                    value /= base;
                }
            } while (value);
            if (sign) *--p = '-';
            text = p;
            n = digits + sizeof digits - p;
            break;
        }
        case '%':
            digits[n++] = '%';
            break;
        default:
            digits[n++] = '?';
        }
        int pad = width - n;
        if (zero && sign) put(&sink, *text++), n--;
        if (!left) for (; pad > 0; pad--) put(&sink, zero ? '0' : ' ');
        while (n-- > 0) put(&sink, *text++);
        if (left) for (; pad > 0; pad--) put(&sink, ' ');
    }
    if (size) out[MIN(sink.length, size - 1)] = 0;
    return (int)sink.length;
}

int format(char *out, uptr size, const char *form, ...) {
    __builtin_va_list arguments;
    __builtin_va_start(arguments, form);
    int n = vformat(out, size, form, arguments);
    __builtin_va_end(arguments);
    return n;
}
