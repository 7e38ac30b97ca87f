#!/bin/sh
# What programs inside Linux cost: run.sh TIMES [NAME,...]. Marks begin and end on the console as the kernels do: "B name", "E result".
# Results are known: ../inside.ts has them.
programs() {
  i=0
  while [ $i -lt 200 ]; do
    /bin/busybox true
    i=$((i + 1))
  done
  echo $i
}
loop() {
  i=0
  while [ $i -lt 20000 ]; do i=$((i + 1)); done
  echo $i
}
sha256sum_zeroes() { dd if=/dev/zero bs=64k count=256 2> /dev/null | sha256sum | cut -c1-16; }
gzip_text() { gzip -c /bench/text | gunzip | md5sum | cut -c1-16; }
xz_text() { xz -dc /bench/text.xz | md5sum | cut -c1-16; }
awk_sums() { awk 'BEGIN { for (i = 0; i < 100000; i++) { s += i * 1.5; a[i % 100] = s } printf "%d\n", a[99] / 1000 }'; }
switches() { /bench/work switches 5000; }
faults() { /bench/work faults 4; }
measure() {
  case ",$only," in *",$1,"* | ,,) ;; *) return ;; esac
  n=0
  while [ $n -lt "$times" ]; do
    echo "B $1"
    echo "E $($2)"
    n=$((n + 1))
  done
}
times=$1
only=$2
measure sha256sum sha256sum_zeroes
measure gzip gzip_text
[ -e /bench/text.xz ] && measure xz xz_text
measure awk awk_sums
measure shell loop
measure forks programs
[ -e /bench/work ] && measure switches switches
[ -e /bench/work ] && measure faults faults
echo DONE
