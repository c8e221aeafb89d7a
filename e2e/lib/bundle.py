"""Prints an OCI runtime configuration (config.json) for one of two pods, as a container runtime would make it.

    bundle.py confined|drop-in ROOTFS UID [-e NAME=VALUE]... [-v SOURCE:TARGET]... -- COMMAND...

confined: the pod of manifests/base: no capability, no privilege escalation, read-only root, the default seccomp profile.
drop-in:  the Go project's Deployment, which says nothing of the kind: the default capabilities as the bounding set, of
          which root has all and another user none, and a root that can be written to.
Both are in this machine's network namespace, where the test's servers are.
"""

import argparse
import json
import platform

DEFAULT_CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
]
SECCOMP = "/usr/share/containers/seccomp.json"


def seccomp():
    """The runtimes' common default profile for this machine, less the rules for capabilities, which the pod has none of."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    with open(SECCOMP) as file:
        profile = json.load(file)
    rules = []
    for rule in profile["syscalls"]:
        includes = rule.get("includes") or {}
        if includes.get("caps") or machine not in includes.get("arches", [machine]):
            continue
        kept = {key: rule[key] for key in ("names", "action", "errnoRet") if rule.get(key) is not None}
        if rule.get("args"):
            kept["args"] = [
                {key: value for key, value in arg.items() if key in ("index", "value", "valueTwo", "op")}
                for arg in rule["args"]
            ]
        rules.append(kept)
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "syscalls": rules,
    }


def mounts(volumes):
    yield {"destination": "/proc", "type": "proc", "source": "proc"}
    yield {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}
    for volume in volumes:
        source, target = volume.rsplit(":", 1)
        yield {"destination": target, "type": "bind", "source": source, "options": ["bind", "ro"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pod", choices=["confined", "drop-in"])
    parser.add_argument("rootfs")
    parser.add_argument("uid", type=int)
    parser.add_argument("-e", dest="env", action="append", default=[])
    parser.add_argument("-v", dest="volumes", action="append", default=[])
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    confined = options.pod == "confined"
    capabilities = {"bounding": [] if confined else DEFAULT_CAPABILITIES}
    if options.uid == 0:
        capabilities |= {"effective": capabilities["bounding"], "permitted": capabilities["bounding"]}
    linux = {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]}
    if confined:
        linux["seccomp"] = seccomp()
    print(json.dumps({
        "ociVersion": "1.0.2",
        "root": {"path": options.rootfs, "readonly": confined},
        "process": {
            "user": {"uid": options.uid, "gid": options.uid},
            "args": options.command,
            "env": options.env,
            "cwd": "/",
            "noNewPrivileges": confined,
            "capabilities": capabilities,
        },
        "mounts": list(mounts(options.volumes)),
        "linux": linux,
    }, indent=1))


main()
