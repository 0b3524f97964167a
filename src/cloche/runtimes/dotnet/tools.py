"""How a real .NET SDK is known, and the oldest that will do."""

from cloche.runtimes.toolchain import ToolchainNeed, ToolHome, VersionRule

DOTNET = ToolchainNeed(
    name="dotnet",
    # The first with --artifacts-path, which keeps what is built out of the project.
    minimum=(8, 0, 100),
    program="dotnet",
    # The muxer chooses the newest of several, as this does.
    versions=(
        VersionRule(
            file="sdk/*/dotnet.dll", pattern=r"sdk/(\d+\.\d+\.\d+)[^/]*/dotnet\.dll", in_name=True
        ),
    ),
    parts=("sdk/*/MSBuild.dll", "shared/Microsoft.NETCore.App/*"),
    measured=("dotnet", "sdk/*/dotnet.dll", "sdk/*/MSBuild.dll", "sdk/*/NuGet.*.dll"),
    homes=(
        ToolHome(below_home=".dotnet", variable="DOTNET_ROOT"),
        ToolHome(below_home=".dotnet"),
    ),
    advice=(
        "Install a .NET SDK of version 8 or later, and name its directory in PATH or DOTNET_ROOT."
    ),
    commands=(("dotnet", "dotnet"),),
)
