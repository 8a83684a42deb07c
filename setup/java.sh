#!/bin/sh
# Is there a Java that Spark can use? Silent when there is; one line when not.
# On Debian and Ubuntu, as root (a container, a CI machine), a missing Java is installed.
set -u

say() { echo "drq_spark: $*" >&2; }

advice="install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) or point JAVA_HOME to one"

java_command() {
    if [ -n "${JAVA_HOME:-}" ]; then echo "$JAVA_HOME/bin/java"; else command -v java; fi
}

java=$(java_command)
if [ -z "$java" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "no java on PATH: installing one with apt-get"
    log=$(mktemp)
    {
        apt-get update
        for version in 17 21; do
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openjdk-$version-jre-headless && break
        done
    } >"$log" 2>&1
    java=$(java_command) || say "apt-get could not install it: $(grep -m1 '^E:' "$log")"
    rm -f "$log"
fi
if [ -z "$java" ]; then
    say "no java on PATH: $advice"
    exit 1
fi
if ! text=$("$java" -version 2>&1); then
    say "$java does not run: $advice"
    exit 1
fi
major=$(echo "$text" | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1)
if [ -n "$major" ] && [ "$major" -lt 17 ]; then
    say "$java is Java $major, Spark needs 17 or newer: $advice"
    exit 1
fi
