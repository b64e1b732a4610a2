#!/bin/sh
# Pin every image to the digest that its tag has now: `postgres:17-bookworm` becomes `postgres:17-bookworm@sha256:…`.
#
#   pin_images.sh           rewrites Dockerfile, docker-compose.yaml, .gitlab-ci.yml and deploy/; needs docker or skopeo, and the registry
#   pin_images.sh --check   exit 1 if an image has no digest
#
# Exit 0: done. 1: refused, and nothing was changed. 2: usage.
set -eu
cd "$(dirname "$0")/.."

files() { find Dockerfile docker-compose.yaml .gitlab-ci.yml deploy -type f \( -name Dockerfile -o -name '*.y*ml' \); }

# `image: x:tag` of YAML, and `FROM x:tag` with the Python version filled in; our own image is built here.
images() {
    version=$(sed -n 's/^ARG PYTHON_VERSION=//p' Dockerfile)
    files | xargs sed -n -e 's/^ *-\{0,1\} *image: *"\{0,1\}\([^" ]*:[^" ]*\)"\{0,1\}.*/\1/p' -e 's/^FROM \([^ ]*:[^ ]*\).*/\1/p' |
        sed "s/\${PYTHON_VERSION}/$version/" | grep -v '^frankenjet-api' | sort -u
}

digest_of() {
    if command -v docker >/dev/null 2>&1; then
        docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}'
    else
        skopeo inspect --format '{{.Digest}}' "docker://$1"
    fi
}

case "$#:${1:-}" in
0:) ;;
1:--check)
    unpinned=$(images | grep -v '@sha256:' || true)
    [ -z "$unpinned" ] || { printf 'not pinned by digest:\n%s\n' "$unpinned" >&2; exit 1; }
    exit 0
    ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

command -v docker >/dev/null 2>&1 || command -v skopeo >/dev/null 2>&1 || { echo "pin_images.sh: needs docker or skopeo" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# All digests first: nothing is rewritten when one of them cannot be had.
images | while read -r image; do
    tagged=${image%@*}
    digest=$(digest_of "$tagged") || { echo "pin_images.sh: no digest of $tagged" >&2; exit 1; }
    printf '%s\n' "$digest" | grep -Eq '^sha256:[0-9a-f]{64}$' || { echo "pin_images.sh: no digest of $tagged" >&2; exit 1; }
    printf '%s %s\n' "$tagged" "$digest" >>"$work/digests"
done
version=$(sed -n 's/^ARG PYTHON_VERSION=//p' Dockerfile)
while read -r tagged digest; do
    inner=$(printf '%s' "$tagged" | sed "s/^\(python:\)$version/\1\${PYTHON_VERSION}/")
    for name in "$tagged" "$inner"; do
        pattern=$(printf '%s' "$name" | sed 's/[].[*^$/\\]/\\&/g')
        files | xargs sed -i "s/\(image: *\"\{0,1\}\|^FROM \)$pattern\(@sha256:[0-9a-f]*\)\{0,1\}\([\" ]\|\$\)/\1$(printf '%s' "$name" | sed 's/[&/\\]/\\&/g')@$digest\3/"
    done
    echo "$tagged@$digest"
done <"$work/digests"
