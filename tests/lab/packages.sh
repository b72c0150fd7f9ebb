#!/usr/bin/env bash
# Installs what `make lab` adds to the packages of `make test`: more mail programs, and a desktop in memory.
# The neighbours (Exim, OpenSMTPD, Courier, Cyrus) are installed by each test into a root of its own.
set -eu
exec "$(dirname "$0")/../packages.sh" getmail6 s-nail alpine aerc tmux claws-mail thunderbird evolution dbus at-spi2-core gnome-keyring python3-pyatspi xvfb xdotool
