"""Policies to begin from."""

from pathlib import Path

from cloche.policy.load import parse
from cloche.policy.schema import Policy, read_policy

TEXT = """\
version: 1
shell_execution: {allow: ["@node/*", "*"], deny: ["rm", "*curl*"], project_code: true, typed_commands: true}
file_access:
  read: {allow: ["**"], deny: [".env", "**/*.pem"]}
  write: {allow: ["src/**", "dist/**"], deny: ["**/.git/**"]}
  delete: {allow: ["dist/**"], deny: []}
network:
  registries: true
  typed_hosts: false
  allow:
    - {host: api.example.org, ports: [443, 8443]}
    - {host: "*.cdn.example.org"}
limits: {build: {memory_bytes: 1G}}
commit: {max_bytes: 8G, max_file_bytes: 1G, max_entries: 5000}
sandbox: {require: [wall-clock]}
"""


def policy(text: str = TEXT) -> Policy:
    return read_policy(parse(text.encode(), str(Path("policy.yaml"))))
