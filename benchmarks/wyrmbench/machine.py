"""What the figures were measured on."""

import datetime
import os
import platform
import shutil
import subprocess


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        first = file.read().split("\n\n")[0]
    return {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in first.splitlines() if ":" in line)}


def tsc_hz():
    """The nominal frequency, which the time-stamp counter runs at as far as Linux tells."""
    mhz = processor().get("cpu MHz")
    return float(mhz) * 1e6 if mhz else None


def package_version(name):
    if not shutil.which("dpkg-query"):
        return None
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=False)
    return done.stdout or None


def describe():
    fields = processor()
    flags = fields.get("flags", "").split()
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) // 1024
    return {"cpu": fields.get("model name", "unknown"), "family": fields.get("cpu family"), "model": fields.get("model"),
            "cores": os.cpu_count(), "memory_mb": memory, "hypervisor": "hypervisor" in flags,
            "vectors": [name for name in ("ssse3", "avx2", "avx512f", "avx512ifma") if name in flags],
            "kernel": platform.release(), "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
            "wireguard_go": package_version("wireguard-go"), "libcrypto": package_version("libssl3"),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "load_before": round(os.getloadavg()[0], 2)}


def sentence(about):
    return (f"{about['cpu']} ({about['cores']} CPUs{', virtual machine' if about['hypervisor'] else ''}), "
            f"Linux {about['kernel']}, {about['system']}, {about['date']}, load {about['load_before']} to {about['load_after']}, "
            f"{about['rounds']} rounds")
