"""Kernel and initramfs of the guest in kernelpeer.py: a Debian kernel package, fetched and unpacked but never installed, with
busybox and `wg` of this machine.

The kernel and the modules that are needed stay in build/cache/guest-kernel, so that later runs need no network.  The
initramfs is written here rather than by tools, so that the same inputs give the same bytes; it is made anew when an input
changes."""

import fcntl
import glob
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile

from netlab import ROOT, LabError

CACHE = os.path.join(ROOT, "build", "cache", "guest-kernel")
META_PACKAGE = "linux-image-amd64"
WANTED_MODULES = ("virtio_pci", "virtio_net", "virtio_console", "wireguard")
FETCH_SECONDS, UNPACK_SECONDS = 300, 120

# The agent: each line of the virtio port is "ID SECONDS BASE64(script)"; the answer "result ID STATUS BASE64(output)".
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /usr/bin
/bin/busybox --install -s /usr/bin
export PATH=/usr/bin:/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
for module in $(cat /modules/order); do
    insmod "/modules/$module.ko" || echo "guest: insmod $module failed"
done
for link in all default eth0; do
    echo 0 >/proc/sys/net/ipv6/conf/$link/accept_dad
    echo 1 >/proc/sys/net/ipv4/conf/$link/promote_secondaries
done
ip link set lo up
ip link set eth0 up
port=
tries=0
while [ -z "$port" ] && [ "$tries" -lt 300 ]; do
    tries=$((tries + 1))
    usleep 100000
    port=$(ls /sys/class/virtio-ports | head -n 1)
done
exec 3<>"/dev/${port:?guest: no control port}"
echo "guest: ready"
while :; do
    while read -r id seconds script <&3; do
        echo "$script" | base64 -d >/tmp/script
        timeout -s KILL "$seconds" sh /tmp/script >/tmp/output 2>&1 </dev/null
        status=$?
        echo "result $id $status $(base64 -w 0 /tmp/output)" >&3
    done
    usleep 100000 # the port reads as ended while nobody is connected to it
done
"""


# ---- the kernel package ----
def image_packages():
    """(package, version) of the concrete packages behind the meta package, the preferred one first."""
    shown = subprocess.run(["apt-cache", "show", META_PACKAGE], capture_output=True, text=True, check=False).stdout
    found = re.findall(r"^Depends:.*?\b(linux-image-[0-9][a-z0-9.+-]*-amd64)(?: \(= ([^)]+)\))?", shown, re.MULTILINE)
    return list(dict.fromkeys(found))


def fetch_package(directory):
    """The path of the .deb of the first concrete package that a mirror gives."""
    said = []
    for refresh in (False, True):
        if refresh:
            # Old package lists name versions that mirrors no longer have.
            subprocess.run(["apt-get", "-qq", "update"], capture_output=True, check=False, timeout=FETCH_SECONDS)
        for package, version in image_packages():
            wanted = f"{package}={version}" if version else package
            try:
                done = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", wanted], cwd=directory,
                                      capture_output=True, text=True, check=False, timeout=FETCH_SECONDS)
            except subprocess.TimeoutExpired:
                said.append(f"{wanted}: not within {FETCH_SECONDS} s")
                continue
            files = glob.glob(os.path.join(glob.escape(directory), f"{package}_*.deb"))
            if done.returncode == 0 and files:
                return files[0]
            said.append(f"{wanted}: {(done.stderr or done.stdout).strip()[-300:]}")
    raise LabError(f"no kernel package behind {META_PACKAGE} can be fetched ({'; '.join(said) or 'no package list has it'}); on "
                   f"Debian 12 run `apt-get update`; without a network, copy the vmlinuz and the modules of one into {CACHE}")


def module_name(path):
    return re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path)).replace("-", "_")


def module_bytes(path):
    with open(path, "rb") as file:
        data = file.read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def module_dependencies(data):
    """What the module's own .modinfo says."""
    match = re.search(rb"\0depends=([^\0]*)\0", data)
    return [name.replace("-", "_") for name in match.group(1).decode().split(",") if name] if match else []


def insertion_order(modules):
    """The wanted modules and all that they need, each after what it needs."""
    order = []

    def add(name, path=()):
        if name in order:
            return
        if name not in modules or name in path:
            raise LabError(f"the kernel package has no usable module {name}")
        for needed in module_dependencies(module_bytes(modules[name])):
            add(needed, path + (name,))
        order.append(name)

    for name in WANTED_MODULES:
        add(name)
    return order


def fill_cache():
    """vmlinuz, NAME.ko and `order` in the cache."""
    order = os.path.join(CACHE, "order")
    if os.path.exists(order):
        return
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="unpack-") as work:
        package = fetch_package(work)
        tree = os.path.join(work, "tree")
        done = subprocess.run(["dpkg-deb", "-x", package, tree], capture_output=True, text=True, check=False,
                              timeout=UNPACK_SECONDS)
        if done.returncode:
            raise LabError(f"cannot unpack {os.path.basename(package)}: {done.stderr.strip()}")
        images = glob.glob(os.path.join(tree, "boot", "vmlinuz-*"))
        modules = {module_name(path): path for path in glob.glob(os.path.join(tree, "**", "*.ko*"), recursive=True)}
        if len(images) != 1:
            raise LabError(f"{os.path.basename(package)} holds {len(images)} kernels, not one")
        names = insertion_order(modules)
        for name in names:
            with open(os.path.join(CACHE, name + ".ko"), "wb") as file:
                file.write(module_bytes(modules[name]))
        shutil.copyfile(images[0], os.path.join(CACHE, "vmlinuz"))
        with open(os.path.join(CACHE, "version"), "w", encoding="ascii") as file:
            file.write(os.path.basename(images[0]).removeprefix("vmlinuz-") + "\n")
        # The last one: a cache with it is complete.
        with open(order + ".new", "w", encoding="ascii") as file:
            file.write("\n".join(names) + "\n")
        os.rename(order + ".new", order)


# ---- the initramfs ----
def libraries_of(program):
    """The shared libraries and the loader of a program, as absolute paths."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", listed)))


def contents():
    """{path in the guest: (mode, bytes)}"""
    files = {"init": (0o100755, INIT.encode())}
    with open(os.path.join(CACHE, "order"), encoding="ascii") as file:
        order = file.read()
    files["modules/order"] = (0o100644, order.encode())
    paths = {f"modules/{name}.ko": os.path.join(CACHE, name + ".ko") for name in order.split()}
    for program, place in (("busybox", "bin/busybox"), ("wg", "bin/wg")):
        found = shutil.which(program)
        if not found:
            raise LabError(f"{program} is missing: run ./setup")
        paths[place] = found
    for library in libraries_of(paths["bin/wg"]):
        paths[library.lstrip("/")] = library
    for place, path in paths.items():
        with open(path, "rb") as file:
            files[place] = (0o100755, file.read())
    return files


def cpio_entry(number, name, mode, data):
    """Format "newc", with times and owners of zero."""
    encoded = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    head = header + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(files):
    folders = {os.path.dirname(name) for name in files}
    while any(folders):
        more = folders | {os.path.dirname(name) for name in folders}
        if more == folders:
            break
        folders = more
    entries = [(name, 0o40755, b"") for name in folders | {"dev", "tmp", "proc", "sys"} if name]
    entries += [(name, mode, data) for name, (mode, data) in files.items()]
    # A folder sorts before what it holds.
    made = [cpio_entry(number, *entry) for number, entry in enumerate(sorted(entries), 1)]
    return b"".join(made) + cpio_entry(0, "TRAILER!!!", 0, b"")


def guest_image():
    """(kernel, initramfs, kernel version): made if they are not there."""
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fill_cache()
        made = archive(contents())
        # By its content, so that a changed input gives another file and a running guest keeps its own.
        initramfs = os.path.join(CACHE, f"initramfs-{hashlib.blake2s(made, digest_size=8).hexdigest()}.cpio")
        if not os.path.exists(initramfs):
            for old in glob.glob(os.path.join(glob.escape(CACHE), "initramfs-*")):
                os.remove(old)
            with open(initramfs + ".new", "wb") as file:
                file.write(made)
            os.rename(initramfs + ".new", initramfs)
    with open(os.path.join(CACHE, "version"), encoding="ascii") as file:
        return os.path.join(CACHE, "vmlinuz"), initramfs, file.read().strip()
