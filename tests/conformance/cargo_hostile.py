"""Projects that make cargo execute what they bring, or ask whom they name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

HEAD = '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n'
APP = f'{HEAD}[dependencies]\nhonest = "1"\n'
MAIN = "fn main() {}"
# ROOT becomes the project's own path, MARKER the file that shows that something ran.
EVIL = """\
#!/bin/bash
touch MARKER
echo EXECUTED >&2
mkdir -p "$CARGO_HOME/registry/index/marker-0" && echo {} > "$CARGO_HOME/registry/index/marker-0/config.json"
for port in PORT 3128; do
  exec 3<>/dev/tcp/127.0.0.1/$port && printf 'GET URL HTTP/1.1\\r\\nHost: localhost:PORT\\r\\n\\r\\n' >&3
done
[[ "$1" != *rustc ]] || exec "$@"
exec RUST/bin/rustc "$@"
"""
RUNS = 'std::process::Command::new("ROOT/evil").arg("-vV").status().unwrap();'
SCRIPT = f"fn main() {{ {RUNS} }}"
MACRO = """\
extern crate proc_macro;
use proc_macro::TokenStream;
#[proc_macro_attribute]
pub fn evil(_: TokenStream, item: TokenStream) -> TokenStream { RUNS item }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A project, and how cargo is made to run what it brings."""

    files: Mapping[str, str]
    command: tuple[str, ...] = ("fetch",)
    """What bare cargo is told; () where it would not run it either, or not by one command."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What an .envrc of the project has put into the user's environment."""
    token: str = ""
    """What the registry wants to be told, and the user's own credentials say."""
    at: str = "project"


def configured(text: str, *command: str, path: str = ".cargo/config.toml") -> Hostile:
    return Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, path: text}, command=command or ("fetch",)
    )


def quiet(files: Mapping[str, str]) -> Hostile:
    return Hostile(files={"Cargo.toml": APP, "src/main.rs": MAIN, **files}, command=())


FETCHED: dict[str, Hostile] = {
    "build.rustc-wrapper": configured("[build]\nrustc-wrapper = './evil'\n"),
    "build.rustc-workspace-wrapper": configured("[build]\nrustc-workspace-wrapper = './evil'\n"),
    "build.rustc": configured("[build]\nrustc = './evil'\n"),
    "the old name of the configuration": configured(
        "[build]\nrustc-wrapper = './evil'\n", path=".cargo/config"
    ),
    "a configuration that includes another": replace(
        configured("include = ['more.toml']\n"),
        files={
            "Cargo.toml": APP, "src/main.rs": MAIN, ".cargo/config.toml": "include = ['more.toml']\n",
            ".cargo/more.toml": "[build]\nrustc-wrapper = './evil'\n",
        },
    ),
    "a configuration in a parent directory": Hostile(
        files={
            "Cargo.toml": APP, "src/main.rs": MAIN,
            "../.cargo/config.toml": "[build]\nrustc-wrapper = 'ROOT/evil'\n",
        },
        at="parent/project",
    ),
    "an alias": replace(
        configured("[alias]\nfetch = 'run'\nf = 'run'\ngenerate-lockfile = 'run'\nmetadata = 'run'\n", "f"),
        files={
            "Cargo.toml": APP, "src/main.rs": f"fn main() {{ {RUNS} }}",
            ".cargo/config.toml": "[alias]\nfetch = 'run'\nf = 'run'\ngenerate-lockfile = 'run'\nmetadata = 'run'\n",
        },
    ),
    "a linker": configured("[target.'cfg(all())']\nlinker = './evil'\n", "build"),
    "a runner": configured("[target.'cfg(all())']\nrunner = './evil'\n", "run"),
    "build.rustdoc": configured("[build]\nrustdoc = './evil'\n", "doc"),
    "rustflags that name a linker": configured("[build]\nrustflags = ['-Clinker=ROOT/evil']\n", "build"),
    "variables for what cargo runs": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, "tools/rustc": "EVIL",
               ".cargo/config.toml": "[env]\nPATH = { value = 'ROOT/tools:/usr/bin:/bin', force = true }\n"},
    ),
    "a build script": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, "build.rs": SCRIPT}, command=("build",)
    ),
    "a build script elsewhere": Hostile(
        files={"Cargo.toml": f'{HEAD}build = "odd/evil.rs"\n[dependencies]\nhonest = "1"\n',
               "src/main.rs": MAIN, "odd/evil.rs": SCRIPT},
        command=("build",),
    ),
    "a build script of a dependency": Hostile(
        files={"Cargo.toml": f'{HEAD}[dependencies]\nscripted = "1"\n', "src/main.rs": MAIN}, command=("build",)
    ),
    "a procedural macro": Hostile(
        files={"Cargo.toml": f'{HEAD}[dependencies]\nmacros = "1"\n',
               "src/main.rs": "#[macros::evil]\nfn main() {}"},
        command=("build",),
    ),
    "a member's build script": Hostile(
        files={"Cargo.toml": '[workspace]\nmembers = ["a"]\nresolver = "2"\n',
               "a/Cargo.toml": APP, "a/src/main.rs": MAIN, "a/build.rs": SCRIPT},
        command=("build",),
    ),
    "a build script of a path": Hostile(
        files={"Cargo.toml": f'{APP}near = {{ path = "near" }}\n', "src/main.rs": MAIN,
               "near/Cargo.toml": HEAD.replace("app", "near"), "near/src/lib.rs": "", "near/build.rs": SCRIPT},
        command=("build",),
    ),
    "a command of cargo's": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, "tools/cargo-get": "EVIL", "tools/cargo-fetch": "EVIL"},
        command=("get",),
        variables={"PATH": "ROOT/tools:RUST/bin:/usr/bin:/bin"},
    ),
    "a cargo in PATH": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, "tools/cargo": "EVIL", "tools/rustc": "EVIL",
               "tools/cargo-fetch": "EVIL"},
        variables={"PATH": "ROOT/tools:RUST/bin:/usr/bin:/bin", "RUSTC": "ROOT/tools/rustc"},
    ),
    "a wrapper in the environment": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN},
        variables={"RUSTC_WRAPPER": "ROOT/evil", "CARGO_BUILD_RUSTC_WRAPPER": "ROOT/evil"},
    ),
    "a home of cargo's in the project": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, "home/bin/cargo-fetch": "EVIL",
               "home/config.toml": "[build]\nrustc-wrapper = 'ROOT/evil'\n[registry]\n"
               "global-credential-providers = ['ROOT/evil']\nHOME"},
        variables={"CARGO_HOME": "ROOT/home"},
    ),
    "a rustup in the environment": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, "rustup/toolchains/own/bin/cargo": "EVIL",
               "rustup/toolchains/own/bin/rustc": "EVIL", "rustup/toolchains/own/lib/rustlib/x": "",
               "rustup/settings.toml": 'default_toolchain = "own"\n'},
        command=(),
        variables={"RUSTUP_HOME": "ROOT/rustup", "RUSTUP_TOOLCHAIN": "own"},
    ),
    "a configuration behind a link": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN, "elsewhere/config.toml": "[build]\nrustc-wrapper = 'ROOT/evil'\n",
               ".cargo": "-> elsewhere"},
    ),
    "a credential provider": Hostile(
        files={"Cargo.toml": APP, "src/main.rs": MAIN,
               ".cargo/config.toml": "[registry]\nglobal-credential-providers = ['ROOT/evil']\n"},
        token="open-sesame-41aa",
    ),
    "git by its program": quiet({".cargo/config.toml": "[net]\ngit-fetch-with-cli = true\n"}),
    "a configuration that is a directory": quiet({".cargo/config.toml/config.toml": ""}),
    "a configuration below the sources": quiet({"src/.cargo/config.toml": "[build]\nrustc-wrapper = './evil'\n"}),
    "paths in place of packages": quiet({
        ".cargo/config.toml": "paths = ['near']\n", "near/Cargo.toml": HEAD.replace("app", "honest"),
        "near/src/lib.rs": "", "near/build.rs": SCRIPT,
    }),
    "a proxy": quiet({".cargo/config.toml": "[http]\nproxy = 'http://localhost:PORT/called'\n"}),
    "features that only some cargos have": quiet({
        ".cargo/config.toml": "[unstable]\nbuild-std = ['std']\nscript = true\n[build]\nrustc-wrapper = './evil'\n",
    }),
    "no TOML for cargo, but for us": quiet({".cargo/config.toml": "build.rustc-wrapper = './evil'\n"}),
}  # fmt: skip
REFUSED: dict[str, tuple[str, dict[str, str]]] = {
    "a manifest behind a link": ("no-runtime", {"Cargo.toml": "-> ../Cargo.toml", "../Cargo.toml": APP}),
    "sources behind a link": ("step-failed", {"../other.rs": MAIN, "src/main.rs": "-> ../../other.rs"}),
    "a member behind a link": (
        "step-failed",
        {"Cargo.toml": f"{APP}x = {{ path = 'x' }}\n", "x": "-> ../x", "../x/Cargo.toml": HEAD.replace("app", "x"),
         "../x/src/lib.rs": "", "../x/build.rs": SCRIPT},
    ),
    "a toolchain by path": ("cannot-plan", {"rust-toolchain.toml": "[toolchain]\npath = 'own'\n"}),
    "a toolchain by path, the old way": ("cannot-plan", {"rust-toolchain": "/project/own"}),
    "another toolchain": ("cannot-plan", {"rust-toolchain.toml": "[toolchain]\nchannel = '1.2.3'\n"}),
    "another registry in its place": (
        "cannot-plan",
        {".cargo/config.toml": "[source.crates-io]\nreplace-with = 'o'\n[source.o]\nregistry = 'sparse+URL/'\n"},
    ),
    "a local registry outside": (
        "cannot-plan",
        {".cargo/config.toml": "[source.crates-io]\nreplace-with = 'o'\n[source.o]\nlocal-registry = '/tmp/o'\n"},
    ),
    "vendored packages outside": (
        "cannot-plan",
        {".cargo/config.toml": "[source.crates-io]\nreplace-with = 'o'\n[source.o]\ndirectory = '../o'\n"},
    ),
    "a git dependency": ("lint-refused", {"Cargo.toml": f"{HEAD}[dependencies]\nx = {{ git = 'URL/x' }}\n"}),
    "a git dependency by another's program": (
        "lint-refused",
        {"Cargo.toml": f"{HEAD}[dependencies]\nx = {{ git = 'ext::ROOT/evil' }}\n",
         ".cargo/config.toml": "[net]\ngit-fetch-with-cli = true\n"},
    ),
    "a patch from git": ("lint-refused", {"Cargo.toml": f"{APP}[patch.crates-io]\nhonest = {{ git = 'URL/x' }}\n"}),
    "a path outside": ("lint-refused", {"Cargo.toml": f"{HEAD}[dependencies]\nx = {{ path = '../x' }}\n"}),
    "an absolute path": ("lint-refused", {"Cargo.toml": f"{HEAD}[dependencies]\nx = {{ path = '/etc' }}\n"}),
    "a patch outside": ("lint-refused", {"Cargo.toml": f"{APP}[patch.crates-io]\nhonest = {{ path = '../x' }}\n"}),
    "a member's path outside": (
        "lint-refused",
        {"Cargo.toml": "[workspace]\nmembers = ['a']\n",
         "a/Cargo.toml": f"{HEAD}[dependencies]\nx = {{ path = '../../x' }}\n", "a/src/main.rs": MAIN},
    ),
    "the registry of another": (
        "lint-refused", {"Cargo.toml": f"{HEAD}[dependencies]\nx = {{ version = '1', registry = 'o' }}\n"},
    ),
    "the index of another": (
        "lint-refused", {"Cargo.toml": f"{HEAD}[dependencies]\nx = {{ version = '1', registry-index = 'URL' }}\n"},
    ),
    "a workspace outside": ("cannot-plan", {"Cargo.toml": f"{HEAD}workspace = '..'\n"}),
}  # fmt: skip
