// Network commands: a small web server, a client, and the load that compares machines.
#include "user.h"

static const char *read_address(const char *text, u32 *address, u32 *port) {
    *address = 0;
    for (u32 i = 0; i < 4; i++) {
        if (*text < '0' || *text > '9') return NULL;
        *address = *address << 8 | ((u32)number(text, &text) & 255);
        if (i < 3 && *text++ != '.') return NULL;
    }
    if (*text == ':') *port = (u32)number(text + 1, &text);
    return text;
}

static void print_address(u32 address) {
    print("%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

static bool there_is_a_network(const char *who) {
    struct info_net state;
    if (net(NET_INFO, (uptr)&state, 0, 0) == 0 && state.up) return true;
    complain("%s: this machine has no network interface", who);
    return false;
}

int command_net(int count, char **arguments) {
    (void)count, (void)arguments;
    struct info_net state;
    if (!there_is_a_network("net") || net(NET_INFO, (uptr)&state, 0, 0) < 0) return 1;
    print("address ");
    print_address(state.address);
    print("\nmask ");
    print_address(state.mask);
    print("\nmac %02x:%02x:%02x:%02x:%02x:%02x\n", state.mac[0], state.mac[1], state.mac[2], state.mac[3], state.mac[4], state.mac[5]);
    return 0;
}

int command_ping(int count, char **arguments) {
    u32 address, port, n = (u32)argument(count, arguments, 2, 3), got = 0;
    if (count < 2 || !read_address(arguments[1], &address, &port)) {
        complain("usage: ping A.B.C.D [N]");
        return 2;
    }
    if (!there_is_a_network("ping")) return 1;
    for (u32 i = 0; i < n; i++) {
        u64 ns = 0, start = clock_ns();
        int error = net(NET_PING, address, i, (uptr)&ns);
        if (error == -EINTR) break;
        if (error) print("%u: no answer\n", i + 1);
        else got++, print("%u: %llu.%03u ms\n", i + 1, ns / 1000000, (u32)(ns / 1000 % 1000));
        flush();
        if (i + 1 < n && sleep_until(start + 1000000000) < 0) break;
    }
    print("%u of %u answered\n", got, n);
    return got == 0;
}

// Reads up to the empty line that ends a request's head; the path of a GET, or false.
static bool read_request(int connection, char *path, uptr size) {
    static char head[2048];
    uptr have = 0;
    while (have < sizeof head - 1) {
        int n = read(connection, head + have, sizeof head - 1 - have);
        if (n <= 0) return false;
        have += (uptr)n;
        head[have] = 0;
        if (strstr(head, "\r\n\r\n")) break;
    }
    if (strncmp(head, "GET ", 4)) return false;
    uptr i = 0;
    for (const char *c = head + 4; *c && *c != ' ' && *c != '\r' && i + 1 < size; c++) path[i++] = *c;
    path[i] = 0;
    return true;
}

static bool write_all(int file, const void *data, uptr bytes) {
    for (uptr done = 0; done < bytes;) {
        int n = write(file, (const u8 *)data + done, bytes - done);
        if (n <= 0) return false;
        done += (uptr)n;
    }
    return true;
}

static void serve(int connection) {
    static u8 block[4096];
    char path[64], head[160];
    if (!read_request(connection, path, sizeof path)) return;
    if (strcmp(path, "/") == 0) strcopy(path, "/etc/motd", sizeof path);
    // /data/N is N KiB of known bytes, for measuring.
    if (strncmp(path, "/data/", 6) == 0) {
        u64 left = number(path + 6, NULL) * 1024;
        int n = format(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %llu\r\n\r\n", left);
        for (u32 i = 0; i < sizeof block; i++) block[i] = (u8)('a' + i % 26);
        if (!write_all(connection, head, (uptr)n)) return;
        for (; left; left -= MIN(left, sizeof block))
            if (!write_all(connection, block, (uptr)MIN(left, sizeof block))) return;
        return;
    }
    u8 *data;
    int bytes = read_file(path, &data);
    if (bytes < 0) {
        static const char missing[] = "HTTP/1.0 404 Not Found\r\nContent-Length: 10\r\n\r\nnot found\n";
        write_all(connection, missing, sizeof missing - 1);
        return;
    }
    int n = format(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n", bytes);
    if (write_all(connection, head, (uptr)n)) write_all(connection, data, (uptr)bytes);
    unmap(data, (uptr)bytes + 1);
}

int command_httpd(int count, char **arguments) {
    u32 port = (u32)argument(count, arguments, 1, 80);
    if (!there_is_a_network("httpd")) return 1;
    int listener = net(NET_LISTEN, port, 0, 0);
    if (listener < 0) {
        complain("httpd: port %u: %s", port, listener == -EAGAIN ? "in use" : error_text(listener));
        return 1;
    }
    print("httpd: serving on port %u\n", port);
    flush();
    for (;;) {
        int connection = net(NET_ACCEPT, (uptr)listener, 0, 0);
        if (connection == -EINTR) return 130;
        if (connection < 0) {
            complain("httpd: %s", error_text(connection));
            return 1;
        }
        serve(connection);
        close(connection);
    }
}

/// Fetches path; the body goes to file `to` when that is not negative. Body bytes, or a negative error; *status is HTTP's.
static s64 fetch(u32 address, u32 port, const char *path, int to, u32 *status) {
    static char block[4096 + 1];
    int connection = net(NET_CONNECT, address, port, 0);
    if (connection < 0) return connection;
    int n = format(block, sizeof block, "GET %s HTTP/1.0\r\n\r\n", path);
    if (!write_all(connection, block, (uptr)n)) {
        close(connection);
        return -EPIPE;
    }
    uptr have = 0;
    char *body = NULL;
    while (!body && have < 4096) { // the head
        n = read(connection, block + have, 4096 - have);
        if (n <= 0) break;
        have += (uptr)n;
        block[have] = 0;
        body = (char *)strstr(block, "\r\n\r\n");
    }
    if (!body) {
        close(connection);
        return -EIO;
    }
    body += 4;
    const char *length = strstr(block, "Content-Length: ");
    s64 expected = length ? (s64)number(length + 16, NULL) : -1, bytes = block + have - body;
    *status = (u32)number(block + 9, NULL);
    if (to >= 0 && bytes) write(to, body, (uptr)bytes);
    while ((n = read(connection, block, 4096)) > 0) {
        if (to >= 0) write(to, block, (uptr)n);
        bytes += n;
    }
    close(connection);
    return n < 0 ? n : expected >= 0 && bytes != expected ? -EIO : bytes;
}

int command_wget(int count, char **arguments) {
    u32 address, port = 80, status = 0;
    const char *path = count > 1 ? read_address(arguments[1], &address, &port) : NULL;
    if (!path) {
        complain("usage: wget A.B.C.D[:PORT]/PATH");
        return 2;
    }
    if (!there_is_a_network("wget")) return 1;
    s64 bytes = fetch(address, port, *path ? path : "/", 1, &status);
    if (bytes < 0) {
        complain("wget: %s: %s", arguments[1], bytes == -EAGAIN ? "no answer" : error_text((int)bytes));
        return 1;
    }
    if (status != 200) complain("wget: %s: status %u", arguments[1], status);
    return status != 200;
}

int command_web(int count, char **arguments) {
    u32 address, port = 80, status = 0;
    u64 n = argument(count, arguments, 2, 20);
    const char *path = count > 3 ? arguments[3] : "/data/16";
    if (count < 2 || !read_address(arguments[1], &address, &port)) {
        complain("usage: web A.B.C.D[:PORT] [N] [PATH]");
        return 2;
    }
    if (!there_is_a_network("web")) return 1;
    u64 start = clock_ns(), total = 0, worst = 0;
    for (u64 i = 0; i < n; i++) {
        u64 before = clock_ns();
        s64 bytes = fetch(address, port, path, -1, &status);
        if (bytes < 0 || status != 200) {
            complain("web: fetch %llu failed: %s", i + 1, bytes == -EAGAIN ? "no answer" : bytes < 0 ? error_text((int)bytes) : "wrong status");
            return 1;
        }
        total += (u64)bytes;
        worst = MAX(worst, clock_ns() - before);
    }
    u64 ns = clock_ns() - start;
    result_begin("web");
    print(" fetches=%llu bytes=%llu ns=%llu bytes_per_second=%llu slowest_ns=%llu\n", n, total, ns, per_second(total, ns), worst);
    return 0;
}

int command_echod(int count, char **arguments) {
    static u8 data[DATAGRAM_MAX];
    u32 port = (u32)argument(count, arguments, 1, 7);
    if (!there_is_a_network("echod")) return 1;
    int socket = net(NET_UDP_OPEN, port, 0, 0);
    if (socket < 0) {
        complain("echod: port %u: %s", port, socket == -EAGAIN ? "in use" : error_text(socket));
        return 1;
    }
    print("echod: listening on port %u\n", port);
    flush();
    for (;;) {
        struct net_datagram datagram = {.data = (uptr)data, .bytes = sizeof data, .timeout_ns = 3600000000000ULL};
        int n = net(NET_UDP_RECEIVE, (uptr)socket, (uptr)&datagram, 0);
        if (n == -EINTR) return 130;
        if (n >= 0) net(NET_UDP_SEND, (uptr)socket, (uptr)&datagram, 0);
    }
}

int command_udp(int count, char **arguments) {
    static u32 sent[DATAGRAM_MAX / 4], got[DATAGRAM_MAX / 4];
    u32 address, port = 7;
    u64 n = argument(count, arguments, 2, 20), answered = 0, corrupt = 0, worst = 0;
    u32 words = (u32)MIN(argument(count, arguments, 3, 64), (u64)DATAGRAM_MAX) / 4;
    if (count < 2 || !read_address(arguments[1], &address, &port)) {
        complain("usage: udp A.B.C.D:PORT [N] [BYTES]");
        return 2;
    }
    if (!there_is_a_network("udp")) return 1;
    int socket = net(NET_UDP_OPEN, 0, 0, 0);
    if (socket < 0) {
        complain("udp: %s", error_text(socket));
        return 1;
    }
    words = MAX(words, 1U);
    u64 start = clock_ns();
    for (u64 i = 0; i < n; i++) {
        for (u32 w = 0; w < words; w++) sent[w] = (u32)i + w;
        struct net_datagram out = {.address = address, .port = port, .data = (uptr)sent, .bytes = words * 4};
        u64 before = clock_ns(), deadline = before + 1000000000;
        int error = net(NET_UDP_SEND, (uptr)socket, (uptr)&out, 0);
        if (error == -EINTR) return 130;
        while (error >= 0 && clock_ns() < deadline) {
            struct net_datagram in = {.data = (uptr)got, .bytes = sizeof got, .timeout_ns = deadline - clock_ns()};
            error = net(NET_UDP_RECEIVE, (uptr)socket, (uptr)&in, 0);
            if (error == -EINTR) return 130;
            if (error < 4 || got[0] != (u32)i) continue; // the answer to one that was given up
            bool same = in.bytes == words * 4;
            for (u32 w = 0; same && w < words; w++) same = got[w] == sent[w];
            if (same) answered++;
            else corrupt++;
            worst = MAX(worst, clock_ns() - before);
            break;
        }
    }
    u64 ns = clock_ns() - start;
    result_begin("udp");
    print(" sent=%llu answered=%llu corrupt=%llu bytes=%u ns=%llu slowest_ns=%llu\n", n, answered, corrupt, words * 4, ns, worst);
    return answered != n;
}
