"""Other kernels than this machine's: booted under qemu, with the sandbox tests run inside."""
