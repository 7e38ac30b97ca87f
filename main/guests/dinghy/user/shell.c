// The shell: line editing with history, pipelines, `;` and `&`; and init, which keeps one shell running.
#include "user.h"

#define LINE 256
#define HISTORY 32

static char history[HISTORY][LINE];
static u32 history_count;

static u8 input[64];
static int input_at, input_have;

static int next_byte(void) {
    if (input_at == input_have) {
        input_at = 0;
        input_have = read(0, input, sizeof input);
        if (input_have <= 0) return -1;
    }
    return input[input_at++];
}

static const char prompt[] = "dinghy$ ";
static char line[LINE];
static u32 length, cursor;

// Redraws from the cursor's old place: everything after the prompt.
static void redraw(void) {
    print("\r%s", prompt);
    line[length] = 0;
    print("%s\033[K", line);
    if (cursor < length) print("\033[%uD", length - cursor);
    flush();
}

static void insert(char c) {
    if (length + 1 >= LINE) return;
    memmove(line + cursor + 1, line + cursor, length - cursor);
    line[cursor++] = c;
    length++;
    if (cursor == length) print("%c", c), flush(); // the common case needs no redraw
    else redraw();
}

static void erase(u32 from, u32 to) {
    memmove(line + from, line + to, length - to);
    length -= to - from;
    cursor = from;
    redraw();
}

static void recall(u32 entry) {
    strcopy(line, entry < history_count ? history[entry % HISTORY] : "", LINE);
    length = cursor = (u32)strlen(line);
    redraw();
}

// Completes the word before the cursor with a command's name.
static void complete(void) {
    u32 from = cursor;
    while (from && line[from - 1] != ' ') from--;
    const char *match = NULL;
    u32 common = 0;
    for (u32 i = 0; i < command_count; i++) {
        const char *name = commands[i].name;
        if (strncmp(name, line + from, cursor - from)) continue;
        if (!match) match = name, common = (u32)strlen(name);
        u32 same = 0;
        while (same < common && name[same] == match[same]) same++;
        common = same;
    }
    if (!match) return;
    bool whole = common == strlen(match);
    for (u32 i = cursor - from; i < common; i++) insert(match[i]);
    if (whole) insert(' ');
}

/// Reads one line into `line`; false at the end of input.
static bool edit(void) {
    u32 entry = history_count;
    length = cursor = 0;
    print("%s", prompt);
    flush();
    for (;;) {
        int c = next_byte();
        if (c < 0) return false;
        if (c == 27) { // escape sequences of the cursor keys
            int kind = next_byte();
            if (kind != '[' && kind != 'O') continue;
            c = next_byte();
            u32 oldest = history_count > HISTORY ? history_count - HISTORY : 0;
            if (c == 'A' && entry > oldest) recall(--entry);
            else if (c == 'B' && entry < history_count) recall(++entry);
            else if (c == 'C' && cursor < length) cursor++, print("\033[C"), flush();
            else if (c == 'D' && cursor) cursor--, print("\033[D"), flush();
            else if (c == 'H') cursor = 0, redraw();
            else if (c == 'F') cursor = length, redraw();
            else if (c >= '0' && c <= '9') {
                int digit = c;
                while (c >= '0' && c <= '9') c = next_byte();
                if (digit == '3' && cursor < length) erase(cursor, cursor + 1), redraw();
                else if (digit == '1' || digit == '7') cursor = 0, redraw();
                else if (digit == '4' || digit == '8') cursor = length, redraw();
            }
            continue;
        }
        if (c == '\r' || c == '\n') break;
        if (c == 3) { // Control-C
            print("^C\n%s", prompt);
            length = cursor = 0;
            flush();
        } else if (c == 127 || c == 8) {
            if (cursor) erase(cursor - 1, cursor);
        } else if (c == 1) cursor = 0, redraw();
        else if (c == 5) cursor = length, redraw();
        else if (c == 21) erase(0, cursor);
        else if (c == 11) length = cursor, redraw();
        else if (c == 23) {
            u32 from = cursor;
            while (from && line[from - 1] == ' ') from--;
            while (from && line[from - 1] != ' ') from--;
            erase(from, cursor);
        } else if (c == 12) print("\033[H\033[2J"), redraw();
        else if (c == 9) complete();
        else if (c >= 32) insert((char)c);
    }
    print("\n");
    flush();
    line[length] = 0;
    if (length && (!history_count || strcmp(history[(history_count - 1) % HISTORY], line))) strcopy(history[history_count++ % HISTORY], line, LINE);
    return true;
}

// The first of `marks` outside quotes, or the end of the text.
static char *find_mark(char *text, const char *marks) {
    char quote = 0;
    for (; *text && (quote || !strchr(marks, *text)); text++) {
        if (!quote && (*text == '\'' || *text == '"')) quote = *text;
        else if (quote && *text == quote) quote = 0;
    }
    return text;
}

// Splits at blanks in place; 'quotes' and "quotes" keep blanks.
static int split(char *text, char **words, int most) {
    int n = 0;
    while (*text) {
        while (*text == ' ' || *text == '\t') text++;
        if (!*text || n == most - 1) break;
        words[n++] = text;
        char *to = text;
        char quote = 0;
        for (; *text && (quote || (*text != ' ' && *text != '\t')); text++) {
            if (!quote && (*text == '\'' || *text == '"')) quote = *text;
            else if (quote && *text == quote) quote = 0;
            else *to++ = *text;
        }
        if (*text) text++;
        *to = 0;
    }
    words[n] = NULL;
    return n;
}

// Runs in a child: becomes the command.
static noreturn void become(char *text) {
    char *words[24], path[40];
    int n = split(text, words, COUNT(words));
    if (n == 0) exit(0);
    format(path, sizeof path, words[0][0] == '/' ? "%s" : "/bin/%s", words[0]);
    int error = exec(path, words);
    complain(error == -ENOENT ? "%s: no such command (try help)" : "%s: cannot start (error %d)", words[0], error);
    exit(127);
}

static int last_status;

static void collect(u32 waited, const int *pids) {
    for (u32 left = waited; left;) {
        int status, pid = wait(&status);
        if (pid < 0) break;
        for (u32 i = 0; i < waited; i++)
            if (pids[i] == pid) {
                left--;
                if (i == waited - 1) last_status = status;
            }
    }
}

static void run_pipeline(char *text, bool background) {
    int pids[8];
    u32 n = 0;
    int from = 0;
    for (char *next = text; text && n < COUNT(pids); text = next) {
        next = find_mark(text, "|");
        if (*next) *next++ = 0;
        else next = NULL;
        int ends[2] = {-1, -1};
        if (next && pipe(ends) < 0) {
            complain("sh: cannot make a pipe: out of memory");
            break;
        }
        int pid = fork();
        if (pid == 0) {
            join_group(n ? pids[0] : getpid());
            if (from) dup2(from, 0), close(from);
            if (next) dup2(ends[1], 1), close(ends[0]), close(ends[1]);
            become(text);
        }
        if (from) close(from);
        if (next) close(ends[1]);
        from = next ? ends[0] : 0;
        if (pid < 0) {
            complain("sh: cannot start another process: %s", error_text(pid));
            last_status = 1;
            break;
        }
        pids[n++] = pid;
    }
    if (from > 0) close(from);
    if (background) {
        if (n) print("[%d]\n", pids[n - 1]);
        return;
    }
    if (n) foreground(pids[0]);
    collect(n, pids);
    foreground(0);
    if (last_status == 130) print("\n");
}

static void run_line(char *text) {
    while (text && *text) {
        char *end = find_mark(text, ";&");
        char separator = *end;
        if (*end) *end++ = 0;
        while (*text == ' ') text++;
        if (strncmp(text, "history", 7) == 0 && (text[7] == 0 || text[7] == ' ')) {
            for (u32 i = history_count > HISTORY ? history_count - HISTORY : 0; i < history_count; i++) print("%3u  %s\n", i + 1, history[i % HISTORY]);
        } else if (strcmp(text, "status") == 0) {
            print("%d\n", last_status);
        } else if (*text) {
            run_pipeline(text, separator == '&');
        }
        flush();
        text = end;
    }
}

int command_sh(int count, char **arguments) {
    if (count > 2 && strcmp(arguments[1], "-c") == 0) {
        strcopy(line, arguments[2], LINE);
        run_line(line);
        return last_status;
    }
    while (edit()) run_line(line);
    return 0;
}

int command_init(int count, char **arguments) {
    (void)count, (void)arguments;
    u8 *motd;
    int n = read_file("/etc/motd", &motd);
    if (n > 0) write(1, motd, (uptr)n);
    for (;;) {
        int shell = fork();
        if (shell == 0) {
            char *words[] = {"sh", NULL};
            exec("/bin/sh", words);
            exit(127);
        }
        if (shell < 0) {
            complain("init: cannot start a shell: %s", error_text(shell));
            sleep_until(clock_ns() + 1000000000ULL);
            continue;
        }
        for (int status; wait(&status) != shell;) {}
    }
}
