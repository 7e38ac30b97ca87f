#!/bin/sh
# First process of the initial RAM file systems built by scripts/guests.ts. It ends in a shell on the console.
# A kernel parameter bulkhead_run=COMMAND (spaces as commas) runs that command first and then powers off.
/bin/busybox mkdir -p /proc /sys /dev /tmp /root /etc /mnt /sbin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
/bin/busybox --install -s /bin
# busybox's poweroff, halt and reboot tell the first process by a signal; so do those that the kernel starts when the toolstack asks.
trap 'sync; poweroff -f' USR1 USR2
trap 'sync; reboot -f' TERM
/bin/busybox ln -s /bin/busybox /sbin/poweroff
/bin/busybox ln -s /bin/busybox /sbin/reboot
export PATH=/bin:/sbin HOME=/root PS1='# ' TERM=vt100
# Under Xen the drivers of disks and network interfaces come as modules, where this file system brings them.
if [ -e /sys/hypervisor/type ] && [ -d "/lib/modules/$(uname -r)" ]; then
  while read -r module; do
    insmod "/lib/modules/$(uname -r)/$module" || echo "bulkhead: module $module did not load"
  done < "/lib/modules/$(uname -r)/order"
fi
echo "bulkhead: $(uname -srm), $(grep -c ^processor /proc/cpuinfo) cpu, $(awk '/MemTotal/{print $2}' /proc/meminfo) kB"
if [ -n "$bulkhead_run" ]; then
  sh -c "$(echo "$bulkhead_run" | tr , ' ')"
  echo "bulkhead: command ended with status $?"
  poweroff -f
fi
echo 'bulkhead: shell ready'
cd /root
while true; do
  # In the background, so that a signal ends the wait.
  setsid cttyhack sh &
  wait $!
  echo 'bulkhead: the shell ended, here is another'
done
