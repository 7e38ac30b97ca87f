#!/bin/sh
# First process of the initial RAM file systems built by scripts/guests.ts. It ends in a shell on the console.
# A kernel parameter bulkhead_run=COMMAND (spaces as commas) runs that command first and then powers off.
/bin/busybox mkdir -p /proc /sys /dev /tmp /root /etc
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root PS1='# ' TERM=vt100
echo "bulkhead: $(uname -srm), $(grep -c ^processor /proc/cpuinfo) cpu, $(awk '/MemTotal/{print $2}' /proc/meminfo) kB"
if [ -n "$bulkhead_run" ]; then
  sh -c "$(echo "$bulkhead_run" | tr , ' ')"
  echo "bulkhead: command ended with status $?"
  poweroff -f
fi
echo 'bulkhead: shell ready'
cd /root
while true; do
  setsid cttyhack sh
  echo 'bulkhead: the shell ended, here is another'
done
