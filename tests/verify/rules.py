#!/usr/bin/python3
"""Every rule of verify mode against a driver that breaks exactly it, and against drivers that break none.

One row a driver: the name under which breaks.sys is loaded (it chooses what the driver does), the rule that must be
reported, and what else the report must show: functions of the driver on its stacks (file and line are checked with them)
and phrases.  A driver of the last table must end without a report.  Arguments: names of drivers to run only those; -v
prints their reports."""

import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
from nthost_control import IOCTL_STATE, Control  # noqa: E402

NTHOST = os.path.join(ROOT, "build/bin/nthost")
BREAKS = os.path.join(ROOT, "build/drivers/breaks.sys")
EXIT_RULE = 70
LIMIT_S = 45
# The driver acts when it is given packets, when there are super-segments among them, when it gets a request with an output
# buffer, or on an interface without segmentation.
TRAFFIC, LARGE, REQUEST, NO_OFFLOAD = "traffic", "large", "request", "no-offload"

# Super-segments without a connection, from a packet socket with the header of virtio_net.h in front: 2000 bytes, to be cut
# into 500 each.
SEND_LARGE = """
import socket, struct, sys
SOL_PACKET, PACKET_VNET_HDR = 263, 15
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as out:
    out.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    out.bind((sys.argv[1], 0x0800))
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 2040, 1, 0x4000, 64, 6, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    ip = ip[:10] + struct.pack("!H", 0xffff & ~(lambda n: (n & 0xffff) + (n >> 16))(sum(struct.unpack("!10H", ip)))) + ip[12:]
    tcp = struct.pack("!HHIIBBHHH", 9, 9, 1, 1, 0x50, 0x10, 256, 0, 0)
    for _ in range(30):
        out.send(struct.pack("<BBHHHH", 1, 1, 40, 500, 20, 16) + ip + tcp + bytes(2000))
"""

# (driver, rule, [functions on stacks], [phrases], what it needs)
CAUGHT = [
    # memory
    ("overrun", "pool-overrun", ["overrun"], ["behind the end"]),
    ("overrun_small", "pool-overrun", ["overrun_small"], ["found when it is freed"]),
    ("overrun_read", "pool-overrun", ["overrun_read"], ["reading"]),
    ("underrun", "pool-underrun", ["underrun"], ["byte 1 in front"]),
    ("use_after_free", "pool-use-after-free", ["use_after_free", "allocate_for_late_use", "free_too_early"], ["reading"]),
    ("uninitialized", "pool-uninitialized", ["uninitialized"], ["never written"]),
    ("double_free", "pool-double-free", ["double_free"], ["was freed before", "freed or given back, at"]),
    ("free_interior", "pool-bad-free", ["free_interior"], ["16 bytes inside"]),
    ("free_foreign", "pool-bad-free", ["free_foreign"], ["not a pool allocation"]),
    ("wrong_tag", "pool-tag", ["wrong_tag"], ["'Brak'", "'Wrng'"]),
    ("no_tag", "pool-tag", ["no_tag"], []),
    ("zero_size", "pool-zero-size", ["zero_size"], []),
    ("paged_at_dispatch", "pool-irql", ["paged_at_dispatch"], ["at IRQL 2"]),
    ("executable", "pool-executable", ["executable"], []),
    ("leak", "pool-leak", ["leak"], ["333 bytes, tag 'Brak'"]),
    ("free_timer", "pool-active-object", ["free_timer"], ["queued timer since"]),
    ("free_dpc", "pool-active-object", ["free_dpc"], ["queued DPC since"]),
    ("free_held_lock", "pool-active-object", ["free_held_lock"], ["held lock since"]),
    ("free_work_item", "pool-active-object", ["free_work_item"], ["still queued"]),
    ("null_pointer", "access-violation", ["null_pointer"], ["null pointer"]),
    ("write_constant", "access-violation", ["write_constant"], ["writing", "section .rdata"]),
    ("write_code", "access-violation", ["write_code"], ["writing", "section .text"]),
    ("wild_call", "access-violation", ["wild_call"], ["0x7000"]),
    ("bad_argument", "access-violation", ["bad_argument"], ["in KeSetEvent, called from", "null pointer"]),
    ("call_init", "discarded-code", ["call_init"], ["init_only", "INIT"]),
    # IRQL, waiting, stacks
    ("range", "irql-range", ["range"], ["ZwClose was called at IRQL 2"]),
    ("at_dpc_level", "irql-range", ["at_dpc_level"], ["KeAcquireSpinLockAtDpcLevel was called at IRQL 0"]),
    ("lower_upwards", "irql-raise-lower", ["lower_upwards"], ["from IRQL 0 to 2"]),
    ("raise_downwards", "irql-raise-lower", ["raise_downwards"], ["from IRQL 2 to 1"]),
    ("return_raised", "irql-callback-exit", ["return_raised"], ["MiniportRestart was entered at IRQL 0 and returned at 2"]),
    ("lowering_dpc", "irql-callback-exit", ["lowering_dpc"], ["DPC was entered at IRQL 2 and returned at 1"]),
    ("wait_raised", "wait-at-dispatch", ["wait_raised"], []),
    ("slow_dpc", "dpc-watchdog", [], ["DPC took"]),
    ("deep_stack", "stack-overflow", ["deep"], ["24576"]),
    ("endless_recursion", "stack-overflow", ["endless"], ["below the thread's stack"]),
    # locks
    ("recursion", "lock-recursion", ["recursion"], ["held by this thread already", "it was taken, at"]),
    ("shared_recursion", "lock-recursion", ["shared_recursion"], []),
    ("mutex_recursion", "lock-recursion", ["mutex_recursion"], []),
    ("release_not_held", "lock-not-held", ["release_not_held"], []),
    ("release_other_kind", "lock-not-held", ["release_other_kind"], []),
    ("held_at_exit", "lock-held-at-exit", ["held_at_exit"], ["0 locks held and returned with 1"]),
    ("order", "lock-order", ["take_both", "order"], ["in the other order"]),
    ("order_of_three", "lock-order", ["take_both", "order_of_three"], []),
    ("order_of_classes", "lock-order", ["take_both", "order_of_classes"], []),
    ("order_of_instances", "lock-order", ["take_both", "order_of_instances"], []),
    ("unsafe_mutex", "lock-level", ["unsafe_mutex"], ["critical region"]),
    ("initialize_held", "double-initialize", ["initialize_held"], ["held lock"]),
    # objects
    ("rundown_release", "rundown-misuse", ["rundown_release"], ["more often than acquired"]),
    ("rundown_again", "rundown-misuse", ["rundown_again"], ["not over"]),
    ("dereference_garbage", "object-reference", ["dereference_garbage"], []),
    ("close_garbage", "object-reference", ["close_garbage"], ["not an open handle"]),
    ("initialize_timer_twice", "double-initialize", ["initialize_timer_twice", "set_timer"], ["queued timer"]),
    ("initialize_dpc_twice", "double-initialize", ["initialize_dpc_twice"], ["queued DPC"]),
    ("queue_twice", "double-initialize", ["queue_twice"], ["work item"]),
    ("left_timer", "left-at-unload", ["left_timer"], ["queued timer"]),
    ("left_work_item", "left-at-unload", ["left_work_item"], ["work item"]),
    ("left_irp", "left-at-unload", ["left_irp"], ["IRP"]),
    ("left_mdl", "left-at-unload", ["left_mdl"], ["MDL"]),
    ("left_nbl_pool", "left-at-unload", ["left_nbl_pool"], ["NBL pool"]),
    ("left_thread", "left-at-unload", [], ["1 system threads"]),
    ("left_handle", "left-at-unload", [], ["1 handles"]),
    ("left_table", "left-at-unload", ["left_table"], ["MIB table"]),
    ("left_notification", "left-at-unload", ["left_notification"], ["MIB change notification"]),
    ("free_table_twice", "mib-table", ["free_table_twice"], ["FreeMibTable"]),
    ("table_after_free", "mib-table", ["table_after_free"], ["reading"]),
    ("cancel_twice", "notification", ["cancel_twice"], ["not registered"]),
    ("cancel_inside", "notification", ["cancel_inside"], ["inside its own callback"]),
    # IRPs and MDLs
    ("completed_twice", "irp-completed-twice", ["completed_twice"], []),
    ("pending_not_marked", "irp-pending-mark", [], ["dispatch returned 0x00000103"]),
    ("marked_not_pending", "irp-pending-mark", [], ["dispatch returned 0x00000000"]),
    ("not_completed", "irp-pending-mark", [], ["without having completed the IRP"]),
    ("too_much_information", "irp-information", ["too_much_information"], []),
    ("output_not_written", "irp-information", [], ["never written"], REQUEST),
    ("overrun_system_buffer", "pool-overrun", ["overrun_system_buffer"], ["system buffer"]),
    ("completed_with_pending", "irp-information", ["completed_with_pending"], ["STATUS_PENDING"]),
    ("cancel_routine_left", "irp-cancel-routine", ["cancel_routine_left"], []),
    ("no_stack_location", "irp-stack-location", ["no_stack_location"], []),
    ("irp_freed_twice", "irp-not-owned", ["irp_freed_twice"], ["IoFreeIrp"]),
    ("irp_after_free", "irp-not-owned", ["irp_after_free"], ["writing"]),
    ("mdl_freed_twice", "mdl-misuse", ["mdl_freed_twice"], []),
    ("mdl_after_free", "mdl-misuse", ["mdl_after_free"], ["writing"]),
    ("mdl_unlock", "mdl-misuse", ["mdl_unlock"], ["not locked"]),
    ("mdl_partial_outside", "mdl-misuse", ["mdl_partial_outside"], ["outside of the source"]),
    # NDIS
    ("general_first", "ndis-attributes", ["general_first"], ["before the registration"]),
    ("registration_twice", "ndis-attributes", ["registration_twice"], ["set twice"]),
    ("no_general", "ndis-attributes", [], ["without registration and general"]),
    ("short_header", "ndis-attributes", ["short_header"], ["impossible header"]),
    ("attributes_late", "ndis-attributes", ["attributes_late"], ["outside MiniportInitializeEx"]),
    ("pause_complete_unasked", "ndis-state", ["pause_complete_unasked"], ["no pause is pending"]),
    ("restart_complete_unasked", "ndis-state", ["restart_complete_unasked"], ["no restart is pending"]),
    ("pause_fails", "ndis-state", [], ["it may not fail"]),
    ("pause_twice", "ndis-state", [], ["was called as well"]),
    ("not_a_handle", "ndis-state", ["not_a_handle"], ["not a miniport adapter handle"]),
    ("after_halt", "ndis-after-halt", ["after_halt"], []),
    ("same_link_state", "link-state", ["same_link_state"], ["disconnected already"]),
    ("bad_link_state", "link-state", ["bad_link_state"], ["without a valid"]),
    ("complete_twice", "nbl-completed-twice", ["complete_twice"], [], TRAFFIC),
    ("complete_foreign", "nbl-completed-twice", ["complete_foreign"], [], TRAFFIC),
    ("use_after_completion", "nbl-not-owned", ["use_after_completion", "complete_chain"], ["writing"], TRAFFIC),
    ("data_after_completion", "nbl-not-owned", ["data_after_completion", "complete_chain"], ["reading"], TRAFFIC),
    ("write_to_data", "mdl-misuse", ["write_to_data"], ["written to"], TRAFFIC),
    ("advance_and_complete", "nbl-fields", ["advance_and_complete"], ["other data"], TRAFFIC),
    ("dispatch_flag", "ndis-flags", ["dispatch_flag"], ["IRQL is 0"], TRAFFIC),
    ("pause_with_kept", "ndis-state", [], ["1 sent NET_BUFFER_LISTs not completed"], TRAFFIC),
    ("indicate_parent", "nbl-fields", ["indicate_parent"], ["ParentNetBufferList"], TRAFFIC),
    ("indicate_without_source", "nbl-fields", ["indicate_without_source"], ["SourceHandle"], TRAFFIC),
    ("indicate_wrong_count", "nbl-fields", ["indicate_wrong_count"], ["2 NET_BUFFER_LISTs announced"], TRAFFIC),
    ("offload_revision", "offload-structure", ["offload_revision"], ["revision 4, size 156"]),
    ("offload_no_size", "offload-structure", ["offload_no_size"], ["MaxOffLoadSize of 0"]),
    ("offload_encapsulation", "offload-structure", ["offload_encapsulation"], ["0x8000"]),
    ("offload_beyond", "offload-structure", ["offload_beyond"], ["Rsc.IPv4 has 0x1"]),
    ("offload_cut_short", "offload-structure", ["offload_cut_short"], ["size 156 in 152 bytes"]),
    ("offload_silent", "offload-structure", [], ["was not indicated"], NO_OFFLOAD),
    ("large_not_marked", "nbl-offload", ["large_not_marked"], ["LsoV2TransmitComplete is 0x414001f4"], LARGE),
    ("marks_not_enabled", "nbl-offload", ["marks_not_enabled"], ["0x10, but of IPv4 only 0x2d"], TRAFFIC),
    ("marks_contradict", "nbl-offload", ["marks_contradict"], ["succeeded and failed"], TRAFFIC),
    ("unit_not_enabled", "nbl-offload", ["unit_not_enabled"], ["RSC is not enabled"], TRAFFIC),
    ("unit_of_none", "nbl-offload", ["unit_of_none"], ["DupAckCount is 3"], TRAFFIC),
    ("unit_wrong_count", "nbl-offload", ["unit_wrong_count"], ["8 of payload, but CoalescedSegCount is 9"], TRAFFIC),
    ("unit_not_checked", "nbl-offload", ["unit_not_checked"], ["does not say that IP's and TCP's"], TRAFFIC),
    ("unit_wrong_checksum", "nbl-offload", ["unit_wrong_checksum"], ["the TCP checksum is wrong"], TRAFFIC),
    ("indicate_flag", "ndis-flags", ["indicate_flag"], ["IRQL is 0"], TRAFFIC),
    ("free_indicated", "nbl-not-owned", ["free_indicated"], ["not yet returned"], TRAFFIC),
    ("indicate_paused", "ndis-state", ["indicate_paused"], ["paused or halted"]),
    ("free_list_twice", "nbl-not-owned", ["free_list_twice"], ["freed already"]),
    ("oid_too_much", "oid-result", [], ["reported moved"]),
    ("oid_needs_nothing", "oid-result", [], ["BytesNeeded is 0"]),
    ("oid_completed_twice", "oid-result", ["oid_completed_twice"], ["is not pending"]),
    ("oid_all_good", "oid-result", [], ["which is not known"]),
    ("oid_never", "ndis-timeout", [], ["pending for 12 s"]),
    # Winsock Kernel
    ("release_twice", "wsk-datagram-release", ["release_twice"], []),
    ("datagram_after_release", "wsk-datagram-release", ["datagram_after_release"], ["reading"]),
    ("data_after_release", "wsk-datagram-release", ["data_after_release"], ["reading"]),
    ("close_with_datagrams", "wsk-datagram-release", ["close_with_datagrams"], ["still retained"]),
    ("close_twice", "wsk-socket-state", ["close_twice"], []),
    ("send_after_close", "wsk-socket-state", ["send_after_close"], []),
    ("deregister_open", "wsk-socket-state", ["deregister_open"], ["still open"]),
    ("lone_pktinfo", "wsk-control-data", ["lone_pktinfo"], ["without a following header"]),
    ("bad_control_length", "wsk-control-data", ["bad_control_length"], ["outside of the buffer"]),
    ("no_completion_routine", "irp-stack-location", ["no_completion_routine"], ["no completion routine"]),
    ("reuse_while_pending", "irp-not-owned", ["reuse_while_pending"], ["pending in Winsock Kernel"]),
]
RIGHT = ["none", "right_order", "right_socket", "right_offload"]


class Failure(Exception):
    pass


def command(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)


class Run:
    """One driver in one nthost, in a network namespace of its own when it is to get packets."""

    count = 0

    def __init__(self, scratch, driver, needs=None):
        Run.count += 1
        self.nthost = os.path.join(scratch, "nthost")
        self.name = f"vr{os.getpid() % 100000}x{Run.count}"
        self.space = f"verify-{os.getpid()}-{Run.count}" if needs in (TRAFFIC, LARGE) else None
        self.report = os.path.join(scratch, driver + ".report")
        self.log = os.path.join(scratch, driver + ".log")
        self.image = os.path.join(scratch, driver + ".sys")
        self.control = os.path.join(scratch, driver + ".control")
        self.needs = needs

    def request(self):
        try:
            with Control(self.name, self.control) as control, control.open() as file:
                file.ioctl(IOCTL_STATE, bytes(4), bytes(64))
        except OSError:
            pass  # the report ended the process

    def finish(self, process):
        """Lets it work for a moment, then ends it; the status."""
        prefix = ["ip", "netns", "exec", self.space] if self.space else []
        end = time.monotonic() + LIMIT_S
        asked, rounds = False, 0
        while process.poll() is None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                ready = "is ready" in log.read()
            # Some drivers act only at one IRQL, which the host chooses by chance: several rounds.
            while ready and self.space and rounds < 3 and process.poll() is None:
                rounds += 1
                for words in (["ip", "address", "add", "10.0.0.1/24", "dev", self.name],
                              ["ip", "link", "set", self.name, "up"],
                              ["ping", "-q", "-c", "30", "-i", "0.005", "-W", "0.1", "10.0.0.2"],
                              ["/usr/bin/python3", "-c", SEND_LARGE, self.name])[:4 if self.needs == LARGE else 3]:
                    try:
                        subprocess.run(prefix + words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10)
                    except subprocess.TimeoutExpired:
                        pass
            if ready and self.needs == REQUEST and not asked:
                self.request()
            if ready and not asked:
                asked = True
                time.sleep(0.05)
                process.send_signal(signal.SIGINT)
            if time.monotonic() > end:
                process.kill()
                process.wait()
                raise Failure(f"still running after {LIMIT_S} s")
            time.sleep(0.02)
        return process.returncode

    def __call__(self):
        shutil.copyfile(BREAKS, self.image)
        os.mkdir(self.control)
        words = [self.nthost, "run", self.image, "--name", self.name, "--verify", "--report", self.report,
                 "--control-dir", self.control] + (["--no-offload"] if self.needs == NO_OFFLOAD else [])
        if self.space:
            command("ip", "netns", "add", self.space)
            command("ip", "-n", self.space, "link", "set", "lo", "up")
            words = ["ip", "netns", "exec", self.space] + words
        try:
            with open(self.log, "wb") as log:
                process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            status = self.finish(process)
        finally:
            if self.space:
                subprocess.run(["ip", "netns", "delete", self.space], check=False, stderr=subprocess.DEVNULL)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return status, log.read()


def check_caught(scratch, row):
    driver, rule, functions, phrases = row[:4]
    run = Run(scratch, driver, *row[4:])
    status, output = run()
    try:
        if status != EXIT_RULE:
            raise Failure(f"ended with {status}, not with {EXIT_RULE}")
        heads = re.findall(r"^nthost: verify: rule (\S+) is broken: ", output, re.MULTILINE)
        if heads != [rule]:
            raise Failure(f"reported {heads}")
        for function in functions:
            # the function itself, with file and line; inlined frames have no image name
            if not re.search(rf"^    (?:{driver}\.sys!{function}\+0x[0-9a-f]+|{function} \(inlined\)) \S+\.[ch]:\d+", output,
                             re.MULTILINE):
                raise Failure(f"{function} with its source line is not in the report")
        for phrase in phrases:
            if phrase not in output:
                raise Failure(f"'{phrase}' is not in the report")
        with open(run.report, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if not text.startswith(f"nthost: verify: rule {rule} is broken: ") or text not in output:
            raise Failure("--report has not the same text")
    except (Failure, OSError) as error:
        raise Failure(f"{driver}: expected {rule}: {error}\n{output[-3000:]}") from None
    return output


def check_right(scratch, driver):
    try:
        status, output = Run(scratch, driver, LARGE)()
    except Failure as error:
        raise Failure(f"{driver}, a right driver: {error}") from None
    if status != 0 or "is broken" in output or "left nothing behind" not in output:
        raise Failure(f"{driver}: a right driver ended with {status}:\n{output[-3000:]}")
    return output


def rules_without_test():
    """Every rule that nthost knows has at least one driver."""
    with open(os.path.join(ROOT, "nthost/verify/report.c"), encoding="utf-8") as file:
        known = set(re.findall(r'\[RULE_\w+\] = "([a-z-]+)"', file.read()))
    tested = {row[1] for row in CAUGHT}
    if not known or known != tested:
        raise Failure(f"rules without a driver: {sorted(known - tested)}; drivers without a rule: {sorted(tested - known)}")
    return ""


def main():
    names = [name for name in sys.argv[1:] if name != "-v"]
    missing = next((path for path in (NTHOST, BREAKS) if not os.path.exists(path)), None)
    if missing:
        print(f"{missing} is missing: build first", file=sys.stderr)
        print("0 passed, 1 failed, 0 skipped")
        return 1
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        print("verify-rules: needs root and /dev/net/tun", file=sys.stderr)
        print(f"0 passed, 0 failed, {len(CAUGHT) + len(RIGHT)} skipped")
        return 1
    scratch = tempfile.mkdtemp(prefix="verify-rules-", dir=os.path.join(ROOT, "build"))
    shutil.copy(NTHOST, scratch)  # a build that runs meanwhile does not matter
    # The one that takes 12 s first.
    rows = sorted((row for row in CAUGHT if not names or row[0] in names), key=lambda row: row[1] != "ndis-timeout")
    passed, failed = 0, 0
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            jobs = [pool.submit(check_caught, scratch, row) for row in rows]
            jobs += [pool.submit(check_right, scratch, driver) for driver in RIGHT if not names or driver in names]
            if not names:
                jobs.append(pool.submit(rules_without_test))
            for job in jobs:
                try:
                    output = job.result()
                    passed += 1
                    if "-v" in sys.argv:
                        print(output)
                except Failure as failure:
                    failed += 1
                    print(failure, file=sys.stderr)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
