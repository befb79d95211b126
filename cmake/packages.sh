# Shell functions that install what cmake/packages.txt lists; sourced by examples/quickstart.sh and tests/run.sh.

# Succeeds if the Debian package $1 is installed.
package_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Prints the first of the alternatives "a|b|c" that is installed, else the first that apt knows, else nothing.
package_choose() {
    local name
    for name in ${1//|/ }; do
        if package_installed "$name"; then echo "$name" && return; fi
    done
    for name in ${1//|/ }; do
        if apt-cache show "$name" >/dev/null 2>&1; then echo "$name" && return; fi
    done
}

# Prints the packages.txt lines for the given tags whose package is missing: "need alternatives" each.
packages_missing() {
    local list="$1" when need names
    shift
    while read -r when need names; do
        case " $* " in *" $when "*) ;; *) continue ;; esac
        case "$names" in "") continue ;; esac
        package_any_installed "$names" || echo "$need $names"
    done < <(sed 's/#.*//' "$list")
}

package_any_installed() {
    local name
    for name in ${1//|/ }; do
        if package_installed "$name"; then return 0; fi
    done
    return 1
}

# packages_install list tag...: installs what is missing for these tags. Fails with a sentence if a "must" stays missing.
packages_install() {
    local list="$1" missing need names name sudo="" must="" may=""
    shift
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "no apt here: the packages of $list must be installed by hand (CMake names what is missing)" >&2
        return 0
    fi
    missing="$(packages_missing "$list" "$@")"
    if [ -z "$missing" ]; then return 0; fi
    if [ "$(id -u)" != 0 ]; then
        sudo=sudo
        if ! command -v sudo >/dev/null; then
            echo "not root and no sudo: please install $(echo "$missing" | awk '{print $2}' | tr '\n' ' ')" >&2
            ! grep -q '^must' <<<"$missing"
            return
        fi
    fi
    $sudo apt-get update -q >/dev/null || echo "apt-get update failed; trying with the lists that are there" >&2
    while read -r need names; do
        name="$(package_choose "$names")"
        if [ "$need" = must ]; then
            must+=" ${name:-${names%%|*}}"
        elif [ -n "$name" ]; then
            may+=" $name"
        else
            echo "optional package not in this release: ${names//|/ or }" >&2
        fi
    done <<<"$missing"
    if [ -n "$must" ]; then packages_apt "$sudo" $must || return 1; fi
    for name in $may; do
        packages_apt "$sudo" "$name" || echo "optional package not installed: $name" >&2
    done
}

packages_apt() {
    local sudo="$1"
    shift
    echo "installing: $*"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null
}
