#!/bin/sh
# xenstore read|ls|rm PATH, xenstore write PATH VALUE: the store, spoken to through /dev/xen/xenbus (public/io/xs_wire.h).
# A message is four little-endian words (type, request, transaction, length) and its payload; an ERROR answers with errno's name.
usage() { echo 'usage: xenstore read PATH | ls PATH | rm PATH | write PATH VALUE' >&2; exit 2; }
byte() { printf "\\$(printf %03o "$1")"; }
word() { byte $(($1 & 255)); byte $(($1 >> 8 & 255)); printf '\0\0'; }
# $1 type, $2 path, $3 value (only written for type 11, without a final NUL)
message() {
  length=$((${#2} + 1))
  [ "$1" = 11 ] && length=$((length + ${#3}))
  word "$1"; word 0; word 0; word $length
  printf '%s\0' "$2"
  [ "$1" = 11 ] && printf '%s' "$3"
}
case "$1:$#" in
  ls:2) type=1 ;;
  read:2) type=2 ;;
  write:3) type=11 ;;
  rm:2) type=13 ;;
  *) usage ;;
esac
exec 3<> /dev/xen/xenbus || exit 1
message $type "$2" "$3" > /tmp/.xenstore.$$
dd if=/tmp/.xenstore.$$ bs=4096 2> /dev/null >&3
rm -f /tmp/.xenstore.$$
set -- $(dd bs=16 count=1 2> /dev/null <&3 | od -An -tu4)
[ "$4" -gt 0 ] && answer=$(dd bs="$4" count=1 2> /dev/null <&3 | tr '\0' '\n')
if [ "$1" = 16 ]; then
  echo "xenstore: $answer" >&2
  exit 1
fi
[ $type = 1 ] || [ $type = 2 ] && echo "$answer"
exit 0
