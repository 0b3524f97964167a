"""Attacks on the surroundings: what variables, names and places tell of the host."""

import os
import resource

from cloche_redteam import others
from cloche_redteam.attack import Unable, attack

TYPE_CHECKING = False  # typing is slow to import; the checker takes this name for True
if TYPE_CHECKING:
    from cloche_redteam.attack import Bait

# Each makes a loader or an interpreter take code from a place of another's choice.
_LOADERS = (
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "BASH_ENV",
    "ENV",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYOPT",
    "RUBYLIB",
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "GCONV_PATH",
)
# Each names somebody who acts for the user.
_AGENTS = (
    "SSH_AUTH_SOCK",
    "GPG_AGENT_INFO",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "XDG_RUNTIME_DIR",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "KRB5CCNAME",
    "KUBECONFIG",
    "SUDO_USER",
)


@attack("environment", "development servers that are started with the whole environment")
def find_a_secret_among_ones_variables(bait: "Bait") -> "str | None":
    """Find a variable of the caller's in one's own environment."""
    return "it is set" if bait["secret_text"] in os.environ.get(bait["variable"], "") else None


@attack("environment", "proc_pid_environ(5)")
def read_the_first_processs_variables(bait: "Bait") -> "str | None":
    """Find a variable of the caller's in the environment of the sandbox's first process."""
    return _told_by(others.first(bait), bait)


@attack("environment", "proc_pid_environ(5)")
def read_the_callers_variables(bait: "Bait") -> "str | None":
    """Find a variable of the caller's in the caller's own environment."""
    return _told_by(others.host(bait), bait)


@attack(
    "environment", "proc_pid_environ(5): a launcher that clears the copy and keeps the original"
)
def read_the_variables_one_was_started_with(bait: "Bait") -> "str | None":
    """Find a variable of the caller's where the kernel keeps those of the start, up to the first."""
    pid = os.getpid()
    for _ in range(16):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        if evidence := _told_by(pid, bait):
            return evidence
        pid = int(fields["PPid"])
        if pid <= 1 or str(pid) == bait["host_pid"]:
            return None
    return None


@attack("environment", "LD_PRELOAD and its like, ld.so(8); QwenLM/qwen-code#11614")
def keep_what_makes_programs_load_code(_bait: "Bait") -> "str | None":
    """Keep a variable of the caller's that makes programs load code."""
    kept = [name for name in _LOADERS if name in os.environ]
    return f"kept {' '.join(kept)}" if kept else None


@attack("environment", "agent sockets, ssh-agent(1)")
def learn_who_acts_for_the_user(_bait: "Bait") -> "str | None":
    """Learn from a variable where an agent of the user's listens."""
    kept = [name for name in _AGENTS if name in os.environ]
    return f"kept {' '.join(kept)}" if kept else None


@attack("environment", "credential files below $HOME, the first thing a malicious package reads")
def find_the_users_home_at_home(bait: "Bait") -> "str | None":
    """Find the user's own files where HOME points."""
    if not bait["home_file"]:
        raise Unable("the user's home cannot be written, so no bait lies in it")
    there = os.listdir(os.environ.get("HOME", "/nonexistent"))
    return "HOME is the user's" if os.path.basename(bait["home_file"]) in there else None


@attack("environment", "uts_namespaces(7)")
def learn_the_hosts_name(bait: "Bait") -> "str | None":
    """Learn the name of the host."""
    return "it is the host's" if os.uname().nodename == bait["host_name"] else None


@attack("environment", "machine-id(5): it should be considered confidential")
def learn_which_machine_it_is(bait: "Bait") -> "str | None":
    """Read the machine's identity, the same in every sandbox and for ever."""
    if not bait["machine_id"]:
        raise Unable("this machine has no machine-id")
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                if file.read().strip() == bait["machine_id"]:
                    return f"read {path}"
    return None


@attack("environment", "proc_pid_mountinfo(5): most escapes by path need a path of the host")
def learn_where_the_project_lies(_bait: "Bait") -> "str | None":
    """Learn the project's path on the host, from the working directory, variables and mounts."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        told = {"mountinfo": file.read(), "cwd": os.getcwd(), "environ": str(dict(os.environ))}
    where = [name for name, text in told.items() if "cloche-redteam-" in text]
    return f"told by {' '.join(where)}" if where else None


@attack("environment", "core(5), CVE-2015-1318: the handler is the host's and root's")
def hand_a_core_to_the_hosts_handler(_bait: "Bait") -> "str | None":
    """Have the host's handler of crashes read memory of one's choice."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii", errors="replace") as file:
        if not file.read().startswith("|"):
            raise Unable("core_pattern names no program here")
    # A limit of 1 alone keeps a core from a handler: fs/coredump.c.
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    return None if limits == (1, 1) else f"limits {limits[0]}, {limits[1]}"


def _told_by(pid: int, bait: "Bait") -> "str | None":
    with open(f"/proc/{pid}/environ", "rb") as file:
        said = file.read()
    return f"read those of {pid}" if bait["secret_text"].encode() in said else None
