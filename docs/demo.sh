#!/usr/bin/env bash
# The demonstration that `make demo` runs: an old invoice table, partly dirty, is migrated on SQLite; the process is
# killed half-way and started again, the result is verified and certified, and the numbers must add up. Any step that does not hold ends it with exit 1.
# It works in build/demo, which is made anew each time and removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

ROWS=60000
BATCH_ROWS=1500
MAPPING=mappings/legacy_vat.yaml
FOLDER=build/demo
export LEGACY_URL=sqlite:///$FOLDER/legacy.db
export NEW_URL=sqlite:///$FOLDER/new.db
UNDISTURBED_URL=sqlite:///$FOLDER/undisturbed.db
run_pid=

if [ -t 1 ]; then bold=$(tput bold) plain=$(tput sgr0); else bold='' plain=''; fi

heading() { printf '\n%s%s%s\n\n' "$bold" "$1" "$plain"; }
note() { printf '%s\n' "$@" | sed 's/^./  &/'; }
show() {
	printf '%s$ %s%s\n' "$bold" "$*" "$plain"
	"$@"
}
fail() {
	printf '\ndemo: %s\n' "$1" >&2
	exit 1
}
# ask FILE EXPRESSION: a value of the JSON document in FILE, as the Python expression over `doc` says.
ask() { python -c 'import json, sys; doc = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }

leave() {
	if [ -n "$run_pid" ]; then kill -9 "$run_pid" 2>/dev/null || true; fi
	rm -rf "$FOLDER"
}
trap leave EXIT
rm -rf "$FOLDER"
mkdir -p "$FOLDER"

heading "1  An old invoice database, with some dirt in it"
show fixtures legacy --out $LEGACY_URL --rows $ROWS --dirty 0.1%

heading "2  The new tables"
show migrate schema apply --target $NEW_URL

heading "3  What would happen: the plan, with two rows before and after"
show migrate plan $MAPPING --sample 2 --batch-rows $BATCH_ROWS

heading "4  Run, and kill -9 half-way"
printf '%s$ migrate run %s --batch-rows %s &%s\n' "$bold" $MAPPING $BATCH_ROWS "$plain"
migrate run $MAPPING --batch-rows $BATCH_ROWS >$FOLDER/run.out 2>$FOLDER/run.log &
run_pid=$!
# Slowed, so that even a fast machine is still at it when the kill comes.
until migrate throttle $MAPPING --rows-per-second 4000 >/dev/null 2>&1; do
	kill -0 $run_pid 2>/dev/null || { cat $FOLDER/run.log >&2; fail "the run ended before it could be killed"; }
done
done_batches=0
until [ "$done_batches" -ge 10 ]; do
	kill -0 $run_pid 2>/dev/null || { cat $FOLDER/run.log >&2; fail "the run ended before it could be killed"; }
	migrate status $MAPPING --json >$FOLDER/status.json
	done_batches=$(ask $FOLDER/status.json 'doc["runs"][0]["batches"]["done"]')
done
kill -9 $run_pid
{ wait $run_pid; } 2>/dev/null && fail "the run was not killed" || true
run_pid=
note "kill -9, when $done_batches batches were seen to be done. What the ledger says:" ""
migrate status $MAPPING --json >$FOLDER/status.json
show migrate status $MAPPING
[ "$(ask $FOLDER/status.json 'doc["runs"][0]["state"]')" = interrupted ] || fail "a killed run is not shown as interrupted"
migrate throttle $MAPPING --rows-per-second 0 >/dev/null

heading "5  The same command again"
show migrate run $MAPPING --batch-rows $BATCH_ROWS

heading "6  Is it right? Both sides are read again, independently of the run"
show migrate verify $MAPPING || fail "the target is not what the mapping makes of the source"
note "" "And does it notice? One name is cut, one invoice deleted, in a copy:" ""
cp $FOLDER/new.db $FOLDER/copy.db
python - $FOLDER/copy.db <<'PY'
import sqlite3, sys

with sqlite3.connect(sys.argv[1]) as copy:
    first, second = (key for (key,) in copy.execute("select key from invoice where length(buyer_name) > 8 order by key limit 2"))
    copy.execute("update invoice set buyer_name = substr(buyer_name, 1, 4) where key = ?", [first])
    copy.execute("delete from invoice where key = ?", [second])
PY
migrate verify $MAPPING --target sqlite:///$FOLDER/copy.db >$FOLDER/copy.out 2>$FOLDER/copy.log && fail "the verifier did not notice" || code=$?
[ "$code" = 1 ] || { cat $FOLDER/copy.log >&2; fail "the verifier ended with exit $code, not 1"; }
printf '%s$ migrate verify %s --target sqlite:///%s/copy.db%s\n' "$bold" $MAPPING $FOLDER "$plain"
# Without the control totals, which differ too.
sed '/^control totals/,/^differences/{/^differences/!d}' $FOLDER/copy.out

heading "7  A certificate, for whoever is to believe it without looking"
show migrate certificate keygen -o $FOLDER/notary.key
show migrate certificate issue $MAPPING -o $FOLDER/vat.cert --signing-key $FOLDER/notary.key || fail "the target got no certificate"
note "" "One invoice, proven without showing any other:" ""
key=$(python -c "import sqlite3; print(sqlite3.connect('$FOLDER/new.db').execute('select min(key) from invoice').fetchone()[0])")
migrate certificate prove $FOLDER/vat.cert --key key=$key >$FOLDER/proof.json || fail "no proof could be made"
show migrate certificate check-proof $FOLDER/proof.json --trust $FOLDER/notary.key.pub --key key=$key || fail "the proof does not hold"
note "" "And does the certificate notice? One name is changed, in a copy:" ""
cp $FOLDER/new.db $FOLDER/copy.db
python -c "import sqlite3; d = sqlite3.connect('$FOLDER/copy.db'); d.execute('update invoice set buyer_name = ? where key = ?', ['another', '$key']); d.commit()"
show migrate certificate check $FOLDER/vat.cert --trust $FOLDER/notary.key.pub --rehash $MAPPING --target sqlite:///$FOLDER/copy.db \
	2>&1 && fail "the certificate did not notice" || code=$?
[ "$code" = 1 ] || fail "the check ended with exit $code, not 1"

heading "8  Do the counts add up?"
note "For comparison, the same migration into another file, without a kill, in" "batches of another size, by one worker:" ""
migrate schema apply --target $UNDISTURBED_URL >/dev/null
migrate run $MAPPING --target $UNDISTURBED_URL --batch-rows 50000 --workers 1 --json \
	>$FOLDER/undisturbed.json 2>$FOLDER/undisturbed.log || { cat $FOLDER/undisturbed.log >&2; fail "the second run failed"; }
migrate status $MAPPING --json >$FOLDER/status.json
python - $FOLDER <<'PY' || fail "the counts do not add up"
"""Compare what the run says with what is in both databases, by plain SQL that knows nothing of the run."""
import json, sqlite3, sys
from pathlib import Path

folder = Path(sys.argv[1])
run = json.loads((folder / "status.json").read_text())["runs"][0]
calm = json.loads((folder / "undisturbed.json").read_text())
rows, invoice = run["rows"], run["targets"]["invoice"]
with sqlite3.connect(folder / "legacy.db") as old, sqlite3.connect(folder / "new.db") as new:
    read, filtered = old.execute("select count(*), sum(zt is not null and zt = '9') from fpxx").fetchone()
    stored, keys = new.execute("select count(*), count(distinct key) from invoice").fetchone()
    other = new.execute(f"attach '{folder}/undisturbed.db' as calm").execute(
        "select (select count(*) from (select * from main.invoice except select * from calm.invoice)) + "
        "(select count(*) from (select * from calm.invoice except select * from main.invoice))").fetchone()[0]

def line(what, left, right):
    good = left == right
    print(f"  {what:<52}{left:>10,}{right:>9,}  {'ok' if good else 'WRONG'}")
    return good

print(f"  {'':<52}{'the run':>10}{'counted':>9}")
held = [
    run["state"] == "complete" and rows["pending"] == 0,
    line("read: rows of the old table", rows["read"], read),
    line("filtered: printed, but never issued", rows["filtered"], filtered),
    line("read = mapped + filtered + rejected", rows["read"], rows["mapped"] + filtered + rows["rejected"]),
    line("written: rows of the new table", invoice["written"], stored),
    line("... each key once", invoice["written"], keys),
    line("mapped = written + identical to one already there", rows["mapped"], stored + invoice["identical"]),
    line("rows that differ from the undisturbed run's", 0, other),
    run["digests"] == calm["digests"] and rows == calm["rows"],
]
print(f"\n  digest of the rows, killed and resumed, then undisturbed:")
print(f"  {run['digests']['invoice']}\n  {calm['digests']['invoice']}")
sys.exit(0 if all(held) else 1)
PY

heading "9  What was not written, and why"
show migrate rejects list $MAPPING

heading "10  And back: the run into the other file, taken back as if it had never been"
migrate rollback $MAPPING --target $UNDISTURBED_URL --yes --json >$FOLDER/back.json 2>$FOLDER/back.log ||
	{ cat $FOLDER/back.log >&2; fail "the run could not be taken back"; }
show migrate status $MAPPING --target $UNDISTURBED_URL
[ "$(ask $FOLDER/back.json 'doc["state"]')" = rolled_back ] || fail "the run is not rolled back"
left=$(python -c "import sqlite3; print(sqlite3.connect('$FOLDER/undisturbed.db').execute('select count(*) from invoice').fetchone()[0])")
[ "$left" = 0 ] || fail "$left rows are left"
note "" "Rows left in the new table: $left."

heading "11  Is the log of all this whole, and is everything well?"
show migrate ledger verify $MAPPING
show migrate doctor $MAPPING

heading "Done. README.md walks through the same, and to a mapping of your own."
