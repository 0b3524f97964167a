#!/bin/sh
# npm would run this for any git dependency, even with --ignore-scripts. A fetch step never sees it.
echo "evil.sh runs as $(id -un)" >> marker
