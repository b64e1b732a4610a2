#!/bin/sh
# Random secrets, so that nobody has to invent one and no default exists.
#
#   make_env.sh                 writes .env from .env.example, with random ACCESS_TOKEN__* secrets; keeps an existing .env
#   make_env.sh --secrets DIR   writes one file per secret to DIR, named as its setting: the value of the environment
#                               variable of that name, else what the file already holds, else a random one
#
# Exit 0: done. 1: refused. 2: usage.
set -eu

token_secrets="ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET"
server_secrets="DB__PASSWORD REDIS__PASSWORD STORAGE__SECRET_KEY"

# 256 bits as 64 hexadecimal digits: no character that a shell, a URL or a configuration file would read differently.
random_secret() {
  od -An -v -N32 -tx1 /dev/urandom | tr -d ' \n'
}

write_env() {
  root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
  if [ -e "$root/.env" ]; then
    echo "make_env.sh: .env exists and is left as it is; delete it first to have a new one" >&2
    exit 1
  fi
  umask 077
  draft=$root/.env.$$
  trap 'rm -f "$draft"' EXIT
  cp "$root/.env.example" "$draft"
  for name in $token_secrets; do
    sed "s/^# *$name=.*/$name=$(random_secret)/" "$draft" > "$draft.next"
    mv "$draft.next" "$draft"
    grep -q "^$name=..*" "$draft" || { echo "make_env.sh: .env.example does not name $name" >&2; exit 1; }
  done
  mv "$draft" "$root/.env"
  echo "Wrote .env with random secrets; only you can read it. Its first lines say what to set for production."
}

write_secret_files() {
  for name in $server_secrets $token_secrets; do
    eval "value=\${$name:-}"
    if [ -z "$value" ]; then
      if [ -s "$1/$name" ]; then
        continue
      fi
      value=$(random_secret)
    fi
    # Readable to the other containers' users, who share nothing but this volume; replaced in one step.
    rm -f "$1/.$name"
    printf '%s' "$value" > "$1/.$name"
    chmod 444 "$1/.$name"
    mv -f "$1/.$name" "$1/$name"
  done
}

case "$#:${1:-}" in
  0:) write_env ;;
  2:--secrets)
    if [ ! -d "$2" ] || [ ! -w "$2" ]; then
      echo "make_env.sh: $2 is not a folder that I may write to" >&2
      exit 1
    fi
    write_secret_files "$2"
    ;;
  *)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
