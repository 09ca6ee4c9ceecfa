#!/bin/bash
# The commands that read and write single images.
# label: quick
. "$(dirname "$0")/lib.bash"
PATH=$PATH:/usr/sbin
need qemu-img qemu-io sfdisk

disk disk.raw 16M
qemu-img create -q -f qcow2 base.qcow2 16M
qemu-io -c 'write -P 1 0 192K' -c 'write -P 2 4M 64K' base.qcow2 >/dev/null
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2
qemu-io -c 'write -P 3 128K 128K' -c 'write -z 4M 64K' top.qcow2 >/dev/null
printf 'label: dos\nlabel-id: 0x12345678\n2048,8192,83,*\n12288,,82\n' | sfdisk -q disk.raw

note "looking at a chain"
strata info top.qcow2
strata --json info base.qcow2
strata info --layout -f raw disk.raw
strata map top.qcow2
strata map --layer top.qcow2
strata map --json top.qcow2
strata check top.qcow2
strata check --json base.qcow2

note "a chain with a layer missing"
mkdir cut
cp top.qcow2 cut/
strata info cut/top.qcow2
strata info --chain cut/top.qcow2
strata digest cut/top.qcow2

note "contents"
strata digest disk.raw top.qcow2
strata digest --flat disk.raw
strata digest --json top.qcow2
[ "$("$STRATA" digest --flat disk.raw | cut -d' ' -f1)" = "$(sha256sum <disk.raw | cut -d' ' -f1)" ] ||
    note "the flat digest is not sha256sum's"
strata compare top.qcow2 top.qcow2
strata compare base.qcow2 top.qcow2
strata compare --json base.qcow2 top.qcow2
truncate -s 17M longer.raw
truncate -s 16M zero.raw
strata compare zero.raw longer.raw
strata compare --strict zero.raw longer.raw

note "conversions"
strata measure -O qcow2 disk.raw
strata measure -O raw top.qcow2
strata measure --json -O qcow2 -o compression=zstd disk.raw
strata convert -O qcow2 disk.raw disk.qcow2
strata compare disk.raw disk.qcow2
strata convert -O qcow2 disk.raw again.qcow2
cmp disk.qcow2 again.qcow2 || note "the same command gave other bytes"
strata convert --digest -O vmdk -o subformat=monolithicFlat disk.raw flat.vmdk
strata compare disk.raw flat.vmdk
strata convert --json -O raw top.qcow2 top.raw
strata -q convert -O raw top.qcow2 top.raw
ls >>transcript

note "refusals"
strata convert -O qcow2 top.qcow2 base.qcow2
strata convert -O raw flat.vmdk flat-flat.vmdk
strata convert top.qcow2 x.raw
strata convert -O qcow3 top.qcow2 x.raw
strata convert -O qcow2 -o cluster_sise=64K top.qcow2 x.raw
strata convert -O qcow2 -o cluster_size=65K top.qcow2 x.raw
strata convert -O raw -o level=1 top.qcow2 x.raw
strata convert -O raw top.qcow2 nowhere/x.raw
strata convert -O raw nothing.qcow2 x.raw
strata info .
ln -s nowhere/else dangling.raw
strata convert -O raw top.qcow2 dangling.raw
[ -e x.raw ] && note "a refused conversion left a file"
name=$'esc\e[31m\xff.raw'
strata convert -q -O raw top.qcow2 "$name"
strata info "$name"
finish
