#!/bin/sh
# What a shell and its programs do all day, run by test/guests/native.test.ts inside the guest. Every line of output is "name: value".
data=/exercise
echo "processors: $(grep -c ^processor /proc/cpuinfo)"
echo "machine: $(uname -m)"
echo "date: $(date -u +%Y-%m-%d)"
# programs, pipes and processes
echo "exec: $(i=0; while [ $i -lt 60 ]; do /bin/busybox true; i=$((i + 1)); done; echo $i)"
echo "pipe: $(seq 1 20000 | sort -rn | head -3 | tr '\n' ' ')"
echo "broken pipe: $(yes | head -c 300000 | wc -c)"
parallel() {
  for n in 1 2 3 4; do
    (seq 1 "${n}000" | awk '{ s += $1 } END { print s }' > /tmp/part$n) &
  done
  wait
  cat /tmp/part1 /tmp/part2 /tmp/part3 /tmp/part4 | tr '\n' ' '
}
echo "parallel: $(parallel)"
mkfifo /tmp/fifo
(seq 1 5000 | md5sum > /tmp/fifo) &
echo "fifo: $(cat /tmp/fifo)"
# signals
echo "trap: $(sh -c 'trap "echo caught" USR1; kill -USR1 $$; trap - USR1')"
echo "terminated: $(sleep 10 & kill $!; wait $!; echo $?)"
echo "segmentation: $(sh -c 'kill -SEGV $$' 2> /dev/null; echo $?)"
echo "alarm: $(timeout 1 sleep 5; echo $?)"
# memory: a string that doubles is mapped, moved and unmapped by the C library
echo "mapped: $(awk 'BEGIN { s = "x"; for (i = 0; i < 21; i++) s = s s; print length(s) }')"
echo "zeroes: $(dd if=/dev/zero bs=64k count=8 2> /dev/null | sha256sum)"
echo "maps: $(grep -c stack /proc/self/maps)"
# sums and compression
echo "md5: $(md5sum < /bin/busybox)"
echo "sha256: $(sha256sum < $data/text)"
echo "sha512: $(sha512sum < $data/text)"
echo "gzip: $(gzip -9 < $data/text | gunzip | sha256sum)"
echo "smaller: $([ "$(gzip < $data/text | wc -c)" -lt "$(wc -c < $data/text)" ] && echo yes)"
echo "bzip2: $(bzip2 < $data/text | bunzip2 | sha256sum)"
[ -e $data/text.xz ] && echo "xz: $(xz -dc $data/text.xz | sha256sum)"
# numbers
echo "inverse squares: $(awk 'BEGIN { for (i = 1; i <= 5000; i++) s += 1 / (i * i); printf "%.12f", s }')"
echo "roots: $(awk 'BEGIN { for (i = 1; i <= 500; i++) { x = i; for (n = 0; n < 20; n++) x = (x + i / x) / 2; s += x } printf "%.9f", s }')"
echo "functions: $(echo 'scale=20; s(1); e(1); l(2); sqrt(2)' | bc -l | tr '\n' ' ')"
echo "integers: $(awk 'BEGIN { x = 1; for (i = 0; i < 2000; i++) x = (x * 16807) % 2147483647; print x }')"
echo "pi: $(echo 'scale=30; 4*a(1)' | bc -l)"
echo "factorial: $(echo 'f = 1; for (i = 2; i <= 30; i++) f *= i; f' | bc)"
echo "shell: $((0x7fffffff * 3 % 1000007))"
