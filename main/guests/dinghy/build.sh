#!/bin/bash
# Builds the four images of Dinghy and manifest.json. The same compiler gives the same bytes: no dates, no paths, no build ids.
#   build.sh [--check]   with --check nothing is changed: the images are built elsewhere and compared with those here.
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C SOURCE_DATE_EPOCH=0
CC=${CC:-gcc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$PWD
out=$here
[ "${1:-}" = --check ] && out=$work/out
mkdir -p "$out/images"

common=(-std=gnu11 -O2 -ffreestanding -fno-builtin -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing
    -fcf-protection=none -fno-ident -mgeneral-regs-only -mno-red-zone -Wall -Wextra -Werror -Iinclude -ffile-prefix-map="$PWD"=.)

link() { # bits output script options... objects
    local bits=$1 output=$2 script=$3
    shift 3
    local emulation=elf_x86_64
    [ "$bits" = 32 ] && emulation=elf_i386
    ld -m $emulation -T "$script" -z max-page-size=4096 -z noexecstack --build-id=none --no-warn-rwx-segments -nostdlib -o "$output" "$@"
}

for bits in 32 64; do
    # The user programs: one file that is every command.
    objects=()
    for source in user/start.S user/library.c user/shell.c user/commands.c user/network.c user/workloads.c kernel/text.c; do
        object=$work/user$bits-$(basename "${source%.*}").o
        $CC -m$bits "${common[@]}" -Iuser -c "$source" -o "$object"
        objects+=("$object")
    done
    libgcc=$($CC -m$bits -print-libgcc-file-name)
    link $bits "$work/tools$bits" user/user.ld --gc-sections "${objects[@]}" "$libgcc"
    strip -s "$work/tools$bits"

    # The archive: every command's name leads to that file; files/ follows.
    {
        echo '    .data'
        echo '    .balign 4096'
        echo 'tools:'
        echo "    .incbin \"$work/tools$bits\""
        echo 'tools_end:'
        echo '    .balign 4096, 0'
        n=0
        for file in files/[a-z]*; do
            echo "file_$n: .incbin \"$file\""
            echo "file_end_$n:"
            n=$((n + 1))
        done
        echo '    .section .rodata'
        pointer=.quad
        [ $bits = 32 ] && pointer=.long
        table=
        count=0
        for command in $(sed -n 's/^    {"\([a-z]*\)", command_.*/\1/p' user/commands.c); do
            echo "name_$command: .asciz \"/bin/$command\""
            table+="    $pointer name_$command, tools, tools_end - tools"$'\n'
            count=$((count + 1))
        done
        n=0
        for file in files/[a-z]*; do
            echo "file_name_$n: .asciz \"/etc/$(basename "$file")\""
            table+="    $pointer file_name_$n, file_$n, file_end_$n - file_$n"$'\n'
            n=$((n + 1))
            count=$((count + 1))
        done
        echo '    .balign 8'
        echo '    .globl archive, archive_count'
        echo 'archive:'
        echo -n "$table"
        echo "archive_count: $pointer $count"
        echo '    .section .note.GNU-stack, "", @progbits'
    } >"$work/archive$bits.S"

    for platform in hw pv; do
        flags=("${common[@]}" -I$platform)
        base=0xc0000000
        [ $bits = 64 ] && flags+=(-mcmodel=kernel) && base=0xffffffff80000000
        objects=()
        sources=($platform/*.S $platform/*.c kernel/*.S kernel/*.c xen/*.c "$work/archive$bits.S")
        for source in "${sources[@]}"; do
            [ $platform = pv ] && [ "$source" = xen/pvh.c ] && continue
            object=$work/$platform$bits-$(echo "${source%.*}" | sed "s|^$work/||" | tr / -).o
            $CC -m$bits "${flags[@]}" -c "$source" -o "$object"
            objects+=("$object")
        done
        name=dinghy-$platform$bits
        physical=0
        [ $platform = hw ] && physical=1
        link $bits "$out/images/$name" kernel.ld --defsym=KERNEL_BASE=$base --defsym=PHYSICAL_ENTRY=$physical "${objects[@]}" "$libgcc"
        [ -n "${SYMBOLS:-}" ] && cp "$out/images/$name" "$SYMBOLS/$name.symbols"
        # the symbols stay: the debugger of the app shows them
        strip -g "$out/images/$name"
        chmod 644 "$out/images/$name"
    done
done

describe() { # image bits modes separator
    cat <<END
    {
      "image": "$1",
      "bits": $2,
      "modes": [$3],
      "bytes": $(stat -c %s "$out/images/$1"),
      "sha256": "$(sha256sum "$out/images/$1" | cut -d' ' -f1)"
    }$4
END
}
{
    cat <<END
{
  "name": "Dinghy",
  "version": "1.0",
  "compiler": "$($CC --version | head -1)",
  "defaults": { "memoryMiB": 16, "vcpus": 1, "cmdline": "" },
  "images": [
END
    describe dinghy-pv64 64 '"pv"' ,
    describe dinghy-pv32 32 '"pv"' ,
    describe dinghy-hw64 64 '"pvh", "native"' ,
    describe dinghy-hw32 32 '"pvh", "native"' ''
    echo '  ]'
    echo '}'
} >"$out/manifest.json"
if [ "${1:-}" = --check ]; then
    for file in manifest.json images/dinghy-{pv,hw}{64,32}; do
        cmp "$out/$file" "$here/$file" || { echo "the committed $file differs from what its source gives: run build.sh and commit" >&2; exit 1; }
    done
    echo 'the committed images are what their source gives'
fi
