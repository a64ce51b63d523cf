"""What a Windows program asked of IP Helper functions, done on Linux: the calls that the recording iphlpapi.dll wrote down
(tests/windows/iphlpapi) become addresses, routes and the MTU of the adapter's interface in nthost.  Nothing else configures it."""

import ipaddress

from netlab import LabError


def prefix_of(text):
    """HEX/LENGTH: an address with its prefix length."""
    address, length = text.split("/")
    return ipaddress.ip_interface((bytes.fromhex(address), int(length)))


def command_of(call, name):
    """The command of Linux for one call on interface `name`; None: it has none (DNS)."""
    function, *words = call.split()
    if function == "SetIpInterfaceEntry":
        return ["ip", "link", "set", name, "mtu", words[words.index("mtu") + 1]]
    if function == "CreateUnicastIpAddressEntry":
        address = prefix_of(words[0])
        # Windows skips duplicate address detection here (state 4, "preferred").
        skip = ["nodad"] if address.version == 6 and words[-1] == "4" else []
        return ["ip", "address", "add", str(address), "dev", name, "noprefixroute", *skip]
    if function == "CreateIpForwardEntry2":
        return ["ip", "route", "add", str(prefix_of(words[0]).network), "dev", name]
    if function == "SetInterfaceDnsSettings":
        return None
    raise LabError(f"a call that Linux is not told of: {call}")


def apply(lab, namespace, name, calls):
    """All calls, in their order; the number of commands."""
    lab.command(["ip", "link", "set", name, "up"], namespace)
    commands = [command for command in (command_of(call, name) for call in calls) if command]
    for command in commands:
        lab.command(command, namespace)
    return len(commands)
