#!/usr/bin/env bash
# Runs the demo (FAKE engine) and the tests of tests/spark on several versions of Spark, Delta and Python, and prints how many
# passed on each. Arguments are names as conf/spark_environment.sh takes them; without any, all of the matrix run.
# TESTS names other tests than tests/spark.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
TESTS="${TESTS:-tests/spark}"
MATRIX=(3.5.9-py3.11 4.0.2-py3.11 4.0.2-py3.12 4.1.2-py3.12 4.1.2-py3.13 4.1.2-py3.11-lowest 4.2.0-py3.11 4.2.0-py3.13)
[ $# -gt 0 ] || set -- "${MATRIX[@]}"
logs="$(mktemp -d)"
trap 'rm -rf "$logs"' EXIT
failed=0; rows=()

run_demo() {
    PYTHONPATH="tests/support/fake_engine:." PATH="$1/bin:$PATH" "$1/bin/prox-spark" demo --lake "$2" --set self_test.enabled=false
}

for name in "$@"; do
    echo "== $name"
    bash conf/spark_environment.sh "$name"; made=$?
    if [ $made -eq 3 ]; then rows+=("$name|not run: that Python is not installed|"); continue; fi
    if [ $made -ne 0 ]; then failed=1; rows+=("$name|not installed|"); continue; fi
    environment=".cache/spark/$name"
    demo="demo failed"
    if run_demo "$environment" "$logs/$name/lake" >"$logs/demo" 2>&1; then
        demo="$(grep -oE 'refine: [0-9]+ of [0-9]+ documents' "$logs/demo" || echo 'no documents')"
    else
        failed=1; tail -5 "$logs/demo"
    fi
    left_out=(); case "$name" in *-lowest) left_out=(--ignore=tests/spark/test_annotate.py) ;; esac
    # shellcheck disable=SC2086  # TESTS may name several.
    "$environment/bin/python" -m pytest -q -p no:warnings --basetemp "$logs/tests" "${left_out[@]}" $TESTS 2>&1 | tee "$logs/tests.log" | grep -vE '^(tests marked|$)'
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
    rows+=("$name|$demo|$(tail -1 "$logs/tests.log" | sed -E 's/^=* ?| ?=*$//g')")
done
printf '\n%-24s %-36s %s\n' "Spark, Python" "demo (FAKE engine)" "$TESTS"
for row in "${rows[@]}"; do
    IFS='|' read -r name demo tests <<<"$row"
    printf '%-24s %-36s %s\n' "$name" "$demo" "$tests"
done
exit $failed
