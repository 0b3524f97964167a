"""How a real cargo is known, and the oldest that will do."""

from cloche.runtimes.toolchain import ToolchainNeed, ToolHome, VersionRule

RUST = ToolchainNeed(
    name="rust",
    command="cargo",
    # The first that reads locks of format 4, which every cargo since 1.83 writes.
    minimum=(1, 78),
    program="bin/cargo",
    # rustup puts a proxy in the place of both programs: it has no libraries beside it. It would run
    # the toolchain that a project's rust-toolchain.toml names by path, or download another.
    parts=("bin/rustc", "lib/rustlib"),
    measured=("bin/cargo", "bin/rustc", "lib/librustc_driver-*.so"),
    versions=(
        VersionRule(
            file="bin/rustc",
            pattern=r"rustc version (\d+\.\d+\.\d+(?:-(?:nightly|beta)[.0-9]*)?)",
        ),
    ),
    homes=(
        ToolHome(
            below_home=".rustup",
            variable="RUSTUP_HOME",
            roots="toolchains/*",
            chosen_in="settings.toml",
            chosen=r'default_toolchain = "([^"]+)"',
        ),
    ),
    advice="Install Rust (rustup, or your system's package), or put a toolchain's own bin directory in PATH.",
)
