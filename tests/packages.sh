#!/usr/bin/env bash
# Installs the Debian packages that the tests use, and those named as arguments. Does nothing when all are there.
set -eu
packages="ca-certificates curl swaks libnet-ssleay-perl libio-socket-ssl-perl msmtp mpop fetchmail isync neomutt offlineimap3 imapfilter python3 python3-venv openssl expect postfix procps valgrind mpack ripmime maildrop dovecot-imapd dovecot-pop3d dovecot-lmtpd unbound ldnsutils iproute2 python3-dkim python3-authres chromium tmux php-cli php-horde-imap-client roundcube-core roundcube-sqlite3 dbconfig-no-thanks libmail-imaptalk-perl gsasl $*"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "make test needs these Debian packages:$missing (not root, and no sudo)" >&2; exit 1; }
    sudo="sudo"
fi
echo "installing:$missing"
# Postfix must not start a service of its own: the tests run private instances on high ports.
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086 # the list is meant to be split
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null
