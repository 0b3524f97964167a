"""Linux: namespaces, control groups and the launcher that puts them up."""
