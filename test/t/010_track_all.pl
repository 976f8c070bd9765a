# only: preload
# cachekit.track = all: no table has a trigger, and every write is seen; each
# gap of the statistics system's list has a guard.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $node = new_node('track_all', "cachekit.track = all\n"
	  . "shared_preload_libraries = 'cachekit_unit, cachekit'\n");
$node->start;

# sql(STATEMENTS): in a session of its own, each statement a transaction
sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# state_is(SESSION, QUERY, STATE, LABEL): what would happen now
sub state_is
{
	my ($where, $query, $state, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(CacheTest::run($where, "SELECT state FROM cache_explain(\$q\$$query\$q\$)"),
		$state, $label);
}

my $reader;

# ask(QUERY): what would happen now, and whether the cache is right; the direct
# answer.  One statement, in a session that stays.
sub ask
{
	my ($query) = @_;

	my ($state, $cached, $direct) = split /\|/, $reader->query_safe(
		"SELECT (SELECT state FROM cache_explain(\$q\$$query\$q\$)), "
		  . substr(compared($query), length 'SELECT ')), 3;

	return ($state, $cached eq $direct ? 'right' : "WRONG $cached", $direct);
}

# cached(LABEL, QUERY): it is answered, and then answered from the cache.
sub cached
{
	my ($label, $query) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my (undef, $right, $answer) = ask($query);
	my ($state, $again) = ask($query);

	is("$right, $state, $again", 'right, hit, right', "$label, $query");
	return $answer;
}

# sees(LABEL, STATEMENTS, QUERY...): the queries are cached, the statements
# change what each of them returns, and everybody is told so.
sub sees
{
	my ($label, $statements, @queries) = @_;
	my %before;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$before{$_} = cached("$label: before", $_) for @queries;
	ref $statements ? $statements->() : sql($statements);
	isnt(cached("$label: after", $_), $before{$_}, "$label: it was a change, $_") for @queries;
	return;
}

# keeps(LABEL, STATEMENTS, QUERY): no reason to miss
sub keeps
{
	my ($label, $statements, $query) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cached("$label: before", $query);
	sql($statements);
	is(join(', ', (ask($query))[ 0, 1 ]), 'hit, right', "$label: after");
	return;
}

# ---------------- writes before the extension exists ----------------

sql(q{
	CREATE TABLE t (id int PRIMARY KEY, v int, wide text);
	INSERT INTO t SELECT g, g FROM generate_series(1, 5) g;
	CREATE TABLE ref (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
	INSERT INTO ref VALUES (1, 1), (2, 2), (3, 3);
});
my $early = $node->background_psql('postgres', on_error_stop => 1);
$early->query_safe('BEGIN');
$early->query_safe('UPDATE t SET v = 77 WHERE id = 1');

sql(q{
	CREATE EXTENSION cachekit;
	CREATE EXTENSION cachekit_unit;
	CREATE UNLOGGED TABLE unlogged (id int, v int);
	CREATE TABLE part (id int, k int, v int) PARTITION BY LIST (k);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
	CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2, 3) PARTITION BY LIST (k);
	CREATE TABLE part_2a PARTITION OF part_2 FOR VALUES IN (2);
	CREATE TABLE part_2b PARTITION OF part_2 FOR VALUES IN (3);
	INSERT INTO part SELECT g, 1 + g % 3, 0 FROM generate_series(1, 9) g;
	CREATE TABLE alone (id int, k int, v int);
	INSERT INTO alone VALUES (50, 5, 5);
	CREATE TABLE parent (id int, v int);
	CREATE TABLE child () INHERITS (parent);
	INSERT INTO parent VALUES (1, 1);
	INSERT INTO child VALUES (2, 2);
	CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM t;
	CREATE UNIQUE INDEX ON mv (id);
});

my $t = 'SELECT id, v FROM t ORDER BY id';
my $ref = 'SELECT * FROM ref ORDER BY id';
my $part = 'SELECT * FROM part ORDER BY id';
my $part_1 = 'SELECT * FROM part_1 ORDER BY id';
my $part_2 = 'SELECT * FROM part_2 ORDER BY id';
my $part_2a = 'SELECT * FROM part_2a ORDER BY id';
my $part_2b = 'SELECT * FROM part_2b ORDER BY id';
my $parent = 'SELECT * FROM parent ORDER BY id';
my $child = 'SELECT * FROM child ORDER BY id';
my $unlogged = 'SELECT * FROM unlogged ORDER BY id';
my $mv = 'SELECT * FROM mv ORDER BY id';

# It has written before anything was cached, and commits after.
$reader = $node->background_psql('postgres', on_error_stop => 1);
ask($t);
take_xid($node);
sees('a writer that began before the extension', sub { $early->query_safe('COMMIT') }, $t);
$early->quit;

is(sql('SELECT count(*) FROM pg_trigger WHERE tgname LIKE $$cachekit_track%$$ OR tgname = $$cachekit_apply$$'), '0', 'there is no trigger');
is(sql('SHOW cachekit.track'), 'all', 'the setting');
my ($code, $out, $err) = $node->psql('postgres', 'SET cachekit.track = triggers');
like($err, qr/cannot be changed without restarting/, 'no session switches it off');

# ---------------- every way to write ----------------

my $file = $node->basedir . '/rows';
append_to_file($file, join("\n", map { "$_\t1\t$_" } 1000 .. 1099) . "\n");

sees('insert', 'INSERT INTO t VALUES (10, 10)', $t);
sees('update', 'UPDATE t SET v = v + 1', $t);
sees('delete', 'DELETE FROM t WHERE id = 10', $t);
sees('on conflict', 'INSERT INTO t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 1001', $t);
sees('merge', 'MERGE INTO t USING (VALUES (2)) s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 1002', $t);
sees('a CTE that changes data', 'WITH w AS (INSERT INTO t VALUES (11, 11) RETURNING 1) SELECT * FROM w', $t);
sees('toasted', q{INSERT INTO t VALUES (12, 12, (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 1000) g))}, $t);
sees('only what is in the toast table', q{UPDATE t SET wide = reverse(wide) WHERE id = 12}, 'SELECT md5(wide) FROM t WHERE id = 12');
sees('foreign keys', 'UPDATE t SET id = 33 WHERE id = 3', $t, $ref);
sees('foreign keys, deletion', 'DELETE FROM t WHERE id = 33', $t, $ref);
sees('unlogged', 'INSERT INTO unlogged VALUES (1, 1)', $unlogged);
sees('replica role', 'SET session_replication_role = replica; UPDATE t SET v = v + 1', $t);
sees('triggers disabled', 'ALTER TABLE t DISABLE TRIGGER ALL; UPDATE t SET v = v + 1; ALTER TABLE t ENABLE TRIGGER ALL', $t);
sees('cache off in the writer', 'SET cachekit.enabled = off; UPDATE t SET v = v + 1', $t);
sees('savepoint released', 'BEGIN; SAVEPOINT a; SAVEPOINT b; UPDATE t SET v = v + 1; RELEASE b; RELEASE a; COMMIT', $t);
sees('written before and in a savepoint rolled back',
	'BEGIN; UPDATE t SET v = v + 1; SAVEPOINT a; UPDATE t SET v = v + 1; ROLLBACK TO a; COMMIT', $t);
sees('deferred trigger', q{
	CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO unlogged VALUES (NEW.id, 0); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON ref DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION more();
	UPDATE ref SET id = id + 100 WHERE id = 1}, $unlogged, $ref);
sees('COPY', "COPY part FROM '$file'", $part, $part_1);
sees('TRUNCATE', 'TRUNCATE unlogged', $unlogged);
sees('COPY FREEZE', "BEGIN; TRUNCATE part_1; COPY part_1 FROM '$file' (FREEZE); DELETE FROM part_1 WHERE id > 1001; COMMIT", $part, $part_1);
sees('TRUNCATE ... CASCADE', 'TRUNCATE t CASCADE', $t, $ref);
sees('into the partitioned table', 'INSERT INTO part VALUES (20, 2, 2)', $part, $part_2, $part_2a);
sees('into a partition', 'UPDATE part_2a SET v = v + 1', $part, $part_2, $part_2a);
sees('from partition to partition', 'UPDATE part SET k = 3 WHERE id = 20', $part, $part_2, $part_2a, $part_2b);
sees('TRUNCATE of a partitioned table', 'TRUNCATE part_2', $part, $part_2);
sees('a child by its parent', 'UPDATE parent SET v = v + 1 WHERE id = 2', $parent, $child);
sees('a child', 'UPDATE child SET v = v + 1', $parent, $child);
sql('INSERT INTO t SELECT g, g + 100 FROM generate_series(1, 5) g');
sees('REFRESH', 'REFRESH MATERIALIZED VIEW mv', $mv);
sql('UPDATE t SET v = v + 1');
sees('REFRESH CONCURRENTLY', 'REFRESH MATERIALIZED VIEW CONCURRENTLY mv', $mv);
sees('made and filled at once', q{
	BEGIN; CREATE TABLE fresh AS SELECT 1 AS n; INSERT INTO fresh VALUES (2);
	ALTER TABLE alone ADD fresh int; INSERT INTO alone SELECT 60, 6, 6, n FROM fresh; COMMIT},
	'SELECT count(*) FROM alone');
cached('made and filled at once', 'SELECT * FROM fresh');

# ---------------- exact: what changes nothing leaves the cache alone ----------------

keeps('no row changed', 'UPDATE t SET v = 0 WHERE id < 0', $t);
keeps('a savepoint rolled back', 'BEGIN; SAVEPOINT a; UPDATE t SET v = 0; ROLLBACK TO a; UPDATE ref SET t = t; COMMIT', $t);
keeps('rolled back', 'BEGIN; UPDATE t SET v = 0; ROLLBACK', $t);
keeps('row locks', 'BEGIN; SELECT * FROM t FOR UPDATE; COMMIT', $t);
keeps('a temporary table', 'CREATE TEMP TABLE x (i int) ON COMMIT DROP', $t);
keeps('another table', 'UPDATE parent SET v = v + 1', $t);

# ---------------- own writes ----------------

my $own = $node->background_psql('postgres', on_error_stop => 1);
$own->query_safe('BEGIN');
state_is($own, $t, 'hit', 'own writes: none yet');
$own->query_safe('SAVEPOINT a');
$own->query_safe('UPDATE t SET v = v + 1');
state_is($own, $t, 'bypass', 'own writes');
answer_is($own, $t, undef, 'own writes');
cached('own writes: not of this table', $part);
state_is($own, $part, 'hit', 'own writes: not of this table');
$own->query_safe('ROLLBACK TO a');
state_is($own, $t, 'hit', 'own writes: rolled back');
answer_is($own, $t, undef, 'own writes: rolled back');
$own->query_safe('UPDATE t SET v = v + 2');
$own->query_safe('SAVEPOINT b');
$own->query_safe('UPDATE t SET v = v + 2');
state_is($own, $t, 'bypass', 'own writes, in two levels');
$own->query_safe('ROLLBACK TO b');
state_is($own, $t, 'bypass', 'own writes, in the outer level');
answer_is($own, $t, undef, 'own writes, in the outer level');
cached('own writes: another table', $part_2);
state_is($own, $part_2, 'hit', 'own writes: another table');
$own->query_safe('INSERT INTO part_2a VALUES (70, 2, 0)');
state_is($own, $_, 'bypass', 'own writes: to a partition') for $part, $part_2, $part_2a;
answer_is($own, $part, undef, 'own writes: to a partition');
$own->query_safe('ROLLBACK');

# A statement reads what it is changing: as of its beginning.
$own->query_safe(q{BEGIN; UPDATE t SET v = v + 10});
is($own->query_safe(q{UPDATE t SET v = v + 1 RETURNING
	cached_query_json('SELECT sum(v) AS s FROM t')
	IS NOT DISTINCT FROM (SELECT jsonb_agg(to_jsonb(q)) FROM (SELECT sum(v) AS s FROM t) q)}),
	join("\n", ('t') x sql('SELECT count(*) FROM t')), 'read by the writing statement');
$own->query_safe('ROLLBACK');

# ---------------- prepared transactions ----------------

sees('PREPARE', q{BEGIN; UPDATE t SET v = v + 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'}, $t);
keeps('ROLLBACK PREPARED', q{BEGIN; UPDATE t SET v = v + 1; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'}, $t);
sql(q{BEGIN; UPDATE t SET v = v + 1; INSERT INTO part_2b VALUES (80, 3, 3); PREPARE TRANSACTION 'p'});
sees('COMMIT PREPARED', q{COMMIT PREPARED 'p'}, $t, $part, $part_2);

# ---------------- schema changes ----------------

sql('DROP MATERIALIZED VIEW mv');
sees('ALTER TABLE that rewrites', 'ALTER TABLE t ALTER v TYPE bigint USING v + 1', $t);
sees('ALTER TABLE that adds a column', 'ALTER TABLE alone ADD d int DEFAULT 4', 'SELECT * FROM alone');
sees('DETACH', 'ALTER TABLE part DETACH PARTITION part_1', $part);
sql('INSERT INTO part_1 VALUES (90, 1, 1)');
sees('ATTACH', 'ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES IN (1)', $part);
sees('DETACH CONCURRENTLY', 'ALTER TABLE part DETACH PARTITION part_1 CONCURRENTLY', $part);
sees('ATTACH after', 'ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES IN (1)', $part);
sees('ATTACH and write', 'BEGIN; ALTER TABLE part DETACH PARTITION part_1; INSERT INTO part_1 VALUES (91, 1, 1);'
	. 'ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES IN (1); COMMIT', $part, $part_1);
sees('a tree is attached', q{
	CREATE TABLE top (id int, k int, v int) PARTITION BY LIST (k);
	BEGIN; ALTER TABLE part DETACH PARTITION part_2;
	ALTER TABLE top ATTACH PARTITION part_2 FOR VALUES IN (2, 3); COMMIT}, $part);
my $top = 'SELECT * FROM top ORDER BY id';
sees('under another root', 'INSERT INTO part_2b VALUES (92, 3, 3)', $top, $part_2, $part_2b);
sees('a partition made later', 'CREATE TABLE part_9 PARTITION OF part FOR VALUES IN (9); INSERT INTO part_9 VALUES (99, 9, 9)', $part);
sees('a partition dropped', 'DROP TABLE part_9', $part);
sees('a child dropped', 'CREATE TABLE c2 () INHERITS (parent); INSERT INTO c2 VALUES (7, 7)', $parent);
sees('a child dropped', 'DROP TABLE c2', $parent);
sees('NO INHERIT', 'ALTER TABLE child NO INHERIT parent', $parent);
sees('written in between', 'UPDATE child SET v = v + 1', $child);
sees('INHERIT', 'ALTER TABLE child INHERIT parent', $parent);
for my $rewrite ('VACUUM FULL t', 'CLUSTER t USING t_pkey', 'ALTER TABLE t SET LOGGED, ALTER v TYPE numeric')
{
	sql($rewrite);
	sees("$rewrite, then", 'UPDATE t SET v = v + 1', $t);
}

# A long-lived session that writes learns of trees rebuilt by others.
my $writer = $node->background_psql('postgres', on_error_stop => 1);
$writer->query_safe('INSERT INTO part_2b VALUES (100, 3, 3)');
sql('ALTER TABLE top DETACH PARTITION part_2; ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2, 3)');
sees('attached meanwhile', sub { $writer->query_safe('INSERT INTO part_2b VALUES (101, 3, 3)') }, $part, $part_2b);
$writer->quit;

# ---------------- track_counts = off ----------------

my $off = $node->background_psql('postgres', on_error_stop => 1);
$off->query_safe('SET track_counts = off');
sees('track_counts off', sub { $off->query_safe('UPDATE t SET v = v + 1') }, $t);
$off->query_safe('BEGIN');
$off->query_safe('UPDATE t SET v = v + 1');
$off->query_safe('SET track_counts = on');
state_is($off, $t, 'bypass', 'own writes that were not counted');
answer_is($off, $t, undef, 'own writes that were not counted');
sees('on again before the commit', sub { $off->query_safe('COMMIT') }, $t);
keeps('on again', 'SELECT 1', $t);
state_is($off, $t, 'hit', 'the next transaction uses the cache again');
sees('and is counted', sub { $off->query_safe('UPDATE t SET v = v + 1') }, $t);
$off->quit;
sees('SET LOCAL', 'BEGIN; SET LOCAL track_counts = off; UPDATE t SET v = v + 1; COMMIT', $t);
sees('in a savepoint', 'BEGIN; SAVEPOINT a; SET LOCAL track_counts = off; UPDATE t SET v = v + 1; SET LOCAL track_counts = on; RELEASE a; COMMIT', $t);
sees('a function with a SET clause', q{
	CREATE FUNCTION quiet() RETURNS void LANGUAGE sql SET track_counts = off
		AS 'UPDATE t SET v = v + 1';
	SELECT quiet()}, $t);
# off only for the moment when a statement opens a partition
sees('in the middle of a statement', q{
	INSERT INTO part SELECT 200 + g, 1, length(set_config('track_counts', CASE g WHEN 2 THEN 'off' ELSE 'on' END, true))
	FROM generate_series(1, 1) g
	UNION ALL SELECT 300, 3, length(set_config('track_counts', 'off', true))
	UNION ALL SELECT 301, 3, length(set_config('track_counts', 'on', true))}, $part, $part_2b);
sql('ALTER DATABASE postgres SET track_counts = off');
sees('off for the database', 'UPDATE t SET v = v + 1', $t);
sql('ALTER DATABASE postgres RESET track_counts');
sees('prepared while off', q{BEGIN; SET LOCAL track_counts = off; UPDATE t SET v = v + 1;
	PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'}, $t);
keeps('off, and nothing written', 'BEGIN; SET LOCAL track_counts = off; SELECT * FROM t; COMMIT', $t);

# ---------------- written after our PRE_COMMIT ----------------

sees('another extension writes at PRE_COMMIT', q{SELECT unit_before_commit('UPDATE t SET v = v + 1')}, $t);
sees('the same in a transaction that writes', q{BEGIN; INSERT INTO unlogged VALUES (5, 5);
	SELECT unit_before_commit('INSERT INTO part_2b VALUES (310, 3, 3)'); COMMIT}, $part, $unlogged);
sees('a utility statement', q{SELECT unit_before_commit('TRUNCATE unlogged')}, $unlogged);

# Held between the commit's visibility and its callback.
my $gate = $node->background_psql('postgres', on_error_stop => 1);
my $late_writer = $node->background_psql('postgres', on_error_stop => 1);
$gate->query_safe('SELECT pg_advisory_lock(4711)');
$late_writer->query_safe(q{SET cachekit.debug_point = 'committed:4711'});
$late_writer->query_safe('BEGIN');
$late_writer->query_safe('INSERT INTO unlogged VALUES (6, 6)');
$late_writer->query_safe(q{SELECT unit_before_commit('UPDATE t SET v = v + 1')});
my $before = cached('at PRE_COMMIT, before the callback', $t);
$late_writer->query_until(qr/committing/, "\\echo committing\nCOMMIT;\n");
wait_blocked($node, 1);
my (undef, $right, $now) = ask($t);
is($right, 'right', 'at PRE_COMMIT, before the callback');
isnt($now, $before, 'at PRE_COMMIT, before the callback: it is visible');
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
$_->quit for $late_writer, $gate;

# Not by a statement: noticed at the commit, and never served afterwards.
sees('a heap changed directly', q{SELECT unit_insert_before_commit('unlogged')}, $unlogged);
sees('the same in a transaction that writes', q{BEGIN; UPDATE t SET v = v + 1;
	SELECT unit_insert_before_commit('unlogged'); COMMIT}, $unlogged, $t);
keeps('a transaction like any other', 'BEGIN; CREATE TEMP TABLE x (i int) ON COMMIT DROP; UPDATE ref SET t = t; COMMIT', $t);

# ---------------- keys ----------------

# The table is in the list whenever a row of it changes; its keys are told by
# their trigger all the same, so that other keys stay.
sql(q{
	CREATE TABLE k_owner (id int PRIMARY KEY, v int);
	INSERT INTO k_owner SELECT g, 0 FROM generate_series(1, 9) g;
	CREATE TABLE k (id int PRIMARY KEY, owner int REFERENCES k_owner ON DELETE CASCADE ON UPDATE CASCADE, v int);
	INSERT INTO k SELECT g, g % 9 + 1, 0 FROM generate_series(1, 90) g;
	CREATE TABLE k_part (id int, owner int, v int) PARTITION BY LIST (owner);
	CREATE TABLE k_part_1 PARTITION OF k_part FOR VALUES IN (1);
	CREATE TABLE k_part_2 PARTITION OF k_part FOR VALUES IN (2, 3);
	INSERT INTO k_part SELECT g, 1 + g % 3, 0 FROM generate_series(1, 30) g;
	SELECT cache_track('k_owner', 'id'), cache_track('k', 'owner'), cache_track('k_part', 'owner');
});
append_to_file("$file.k", join("\n", map { "$_\t1\t$_" } 1000 .. 1009) . "\n");
my @k = map { "SELECT * FROM k WHERE owner = $_ ORDER BY id" } 0 .. 9;
my $k_all = 'SELECT count(*), sum(id), sum(v) FROM k';
my $k_join = 'SELECT * FROM k_owner o LEFT JOIN k ON k.owner = o.id WHERE o.id = 1 ORDER BY k.id';
my @k_part = map { "SELECT * FROM k_part WHERE owner = $_ ORDER BY id" } 0 .. 3;
is(sql("SELECT array_to_string(dependencies, ', ') FROM cache_explain('$k_join')"), 'k_owner(id=1), k(owner=1)', 'keys');

# of_key(LABEL, STATEMENTS, CHANGED, QUERY...): the other queries keep their answer
sub of_key
{
	my ($label, $statements, $changed, @kept) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cached("keys, $label: before", $_) for @kept;
	sees("keys, $label", $statements, @$changed);
	is(join(', ', (ask($_))[ 0, 1 ]), 'hit, right', "keys, $label: $_ stays") for @kept;
	return;
}

of_key('insert', 'INSERT INTO k VALUES (100, 1, 1)', [ $k[1], $k_all, $k_join ], $k[2]);
of_key('update', 'UPDATE k SET v = v + 1 WHERE owner = 1', [ $k[1], $k_all, $k_join ], $k[2]);
of_key('moved', 'UPDATE k SET owner = 2 WHERE id = 100', [ $k[1], $k[2], $k_join ], $k[3]);
of_key('delete', 'DELETE FROM k WHERE id = 100', [ $k[2], $k_all ], $k[1], $k_join);
of_key('on conflict', 'INSERT INTO k VALUES (1, 5, 0) ON CONFLICT (id) DO UPDATE SET v = 77', [ $k[2], $k_all ], $k[1], $k[3]);
of_key('merge', 'MERGE INTO k USING (VALUES (1)) s (i) ON k.id = s.i WHEN MATCHED THEN UPDATE SET v = 78', [ $k[2] ], $k[1], $k[5]);
of_key('COPY', "COPY k FROM '$file.k'", [ $k[1], $k_join ], $k[2]);
of_key('a cascade', 'UPDATE k_owner SET id = 44 WHERE id = 4', [ $k[4], $k_all =~ s/sum\(v\)/sum(owner)/r ], $k[1], $k_join);
of_key('a cascade that deletes', 'DELETE FROM k_owner WHERE id = 5', [ $k[5], $k_all ], $k[1], $k_join);
of_key('replica role', 'SET session_replication_role = replica; UPDATE k SET v = v + 1 WHERE owner = 1', [ $k[1] ], $k[2]);
of_key('savepoints', 'BEGIN; SAVEPOINT a; UPDATE k SET v = v + 1 WHERE owner = 2; ROLLBACK TO a; UPDATE k SET v = v + 1 WHERE owner = 1; COMMIT',
	[ $k[1], $k_all ], $k[2]);
of_key('prepared', q{BEGIN; UPDATE k SET v = v + 1 WHERE owner = 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'}, [ $k[1], $k_all ], $k[2]);
of_key('partitions', 'UPDATE k_part SET v = v + 1 WHERE owner = 1', [ $k_part[1], 'SELECT * FROM k_part_1 WHERE owner = 1 ORDER BY id' ], @k_part[ 2, 3 ]);
of_key('a partition', 'UPDATE k_part_2 SET v = v + 1 WHERE owner = 2', [ $k_part[2] ], @k_part[ 1, 3 ]);
of_key('from partition to partition', 'UPDATE k_part SET owner = 3 WHERE owner = 1 AND id < 9', [ @k_part[ 1, 3 ] ], $k_part[2]);
of_key('all at once', 'UPDATE k SET v = v + 1', [ @k[ 1, 2 ], $k_all ], $k_part[1]);
of_key('TRUNCATE', 'TRUNCATE k_part_2', [ $k_part[2] ]);
sees('keys, track_counts off', 'BEGIN; SET LOCAL track_counts = off; UPDATE k SET v = v + 1 WHERE owner = 1; COMMIT', $k[1]);
sees('keys, past PRE_COMMIT', q{SELECT unit_before_commit('UPDATE k SET v = v + 1 WHERE owner = 1')}, $k[1]);

my $k_own = $node->background_psql('postgres', on_error_stop => 1);
cached('keys: own writes, before', $_) for @k[ 1, 2 ], $k_all;
$k_own->query_safe('BEGIN');
$k_own->query_safe('SAVEPOINT a');
$k_own->query_safe('UPDATE k SET v = v + 1 WHERE owner = 1');
state_is($k_own, $k[1], 'bypass', 'keys: own writes');
state_is($k_own, $k_all, 'bypass', 'keys: own writes, the table');
state_is($k_own, $k[2], 'hit', 'keys: own writes of another key');
answer_is($k_own, $_, undef, 'keys: own writes') for @k[ 1, 2 ], $k_all;
$k_own->query_safe('ROLLBACK TO a');
state_is($k_own, $k[1], 'hit', 'keys: own writes, rolled back');
state_is($k_own, $k_all, 'hit', 'keys: own writes, rolled back, the table');
$k_own->query_safe('COMMIT');
$k_own->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE');
state_is($k_own, $k[1], 'bypass', 'keys: SERIALIZABLE');
$k_own->query_safe('COMMIT');
$k_own->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
answer_is($k_own, $k[1], undef, 'keys: old snapshot');
sql('UPDATE k SET v = v + 1 WHERE owner = 1');
cached('keys: younger snapshot', $k[1]);
answer_is($k_own, $k[1], undef, 'keys: old snapshot, later');
$k_own->query_safe('COMMIT');
$k_own->quit;

# Row security: the policy's conditions fix nothing for who is exempt.
sql(q{
	CREATE ROLE k_reader;
	GRANT SELECT ON k TO k_reader;
	ALTER TABLE k ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON k USING (owner = 1);
});
sees('keys: row security', 'UPDATE k SET v = v + 1 WHERE owner = 1', $k_all);
my $k_reader = $node->background_psql('postgres', on_error_stop => 1);
$k_reader->query_safe('SET ROLE k_reader');
answer_is($k_reader, $k_all, undef, 'keys: by a policy') for 1 .. 2;
state_is($k_reader, $k_all, 'hit', 'keys: by a policy');
sql('UPDATE k SET v = v + 1 WHERE owner = 2');
state_is($k_reader, $k_all, 'hit', 'keys: by a policy, another key');
sql('UPDATE k SET v = v + 1 WHERE owner = 1');
state_is($k_reader, $k_all, 'stale', 'keys: by a policy, its key');
answer_is($k_reader, $k_all, undef, 'keys: by a policy, its key');
$k_reader->quit;

# Without some trigger the keys go, and the list is left.
sees('keys: without the statement trigger', 'ALTER TABLE k DISABLE TRIGGER cachekit_track; UPDATE k SET v = v + 1 WHERE owner = 1', $k[1], $k_all);
keeps('keys: without the statement trigger, another key', 'UPDATE k SET v = v + 1 WHERE owner = 2', $k[1]);
sees('keys: without the statement trigger, TRUNCATE', 'TRUNCATE k', $k[1], $k_all);
sql('INSERT INTO k SELECT g, 1 + g % 3, 0 FROM generate_series(1, 30) g');
sees('keys: without theirs', 'ALTER TABLE k DISABLE TRIGGER zz_cachekit_keys; UPDATE k SET v = v + 1 WHERE owner = 1', $k[1], $k_all);
sees('keys: without theirs, another key', q{UPDATE k SET v = v + 1 WHERE owner = 1}, $k[1]);
is(sql("SELECT array_to_string(dependencies, ', ') FROM cache_explain(\$q\$$k[1]\$q\$)"), 'k', 'keys: without theirs');
sql('ALTER TABLE k ENABLE ALWAYS TRIGGER zz_cachekit_keys');
of_key('with theirs again', 'UPDATE k SET v = v + 1 WHERE owner = 1', [ $k[1] ], $k[2]);

# ---------------- what is not tracked ----------------

sql(q{
	CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
	CREATE TABLE of_other (id int) USING other;
	CREATE TABLE watched (id int) USING other;
	SELECT cache_track('watched'), cache_track('t');
	CREATE FOREIGN DATA WRAPPER nowhere;
	CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
	CREATE FOREIGN TABLE far (id int) SERVER nowhere;
	CREATE TABLE near (id int);
	CREATE FOREIGN TABLE far_child () INHERITS (near) SERVER nowhere;
});
state_is($node, 'SELECT * FROM of_other', 'bypass', 'another access method');
state_is($node, 'SELECT * FROM far', 'bypass', 'a foreign table');
state_is($node, 'SELECT * FROM near', 'bypass', 'a foreign child');
state_is($node, 'SELECT relname FROM pg_class', 'bypass', 'a catalog');
is(sql(q{SELECT string_agg(concat_ws(' ', tbl, tracked, tracker, gap), E'\n' ORDER BY tbl::text COLLATE "C")
	FROM cachekit_tracked_tables WHERE tbl IN ('t'::regclass, 'ref', 'part', 'of_other', 'watched', 'near')}),
	"near f all foreign table public.far_child\n"
	. "of_other f table public.of_other is not tracked\n"
	. "part t all\nref t all\nt t both\nwatched t triggers", 'the view');
sees('both trackers', 'UPDATE t SET v = v + 1', $t);
sees('both trackers, triggers disabled', 'ALTER TABLE t DISABLE TRIGGER cachekit_track; UPDATE t SET v = v + 1', $t);
sees('triggers of another access method', 'INSERT INTO watched VALUES (1)', 'SELECT * FROM watched');

# ---------------- another database ----------------

sql('CREATE DATABASE plain');
$node->safe_psql('plain', 'CREATE TABLE t AS SELECT 1 AS v');
my $plain = $node->background_psql('plain', on_error_stop => 1);
$plain->query_safe('BEGIN');
$plain->query_safe('UPDATE t SET v = 2');
$node->safe_psql('plain', 'CREATE EXTENSION cachekit');
my $question = 'SELECT v FROM t';
is($node->safe_psql('plain', compared($question)), '[{"v": 1}]|[{"v": 1}]', 'a database that had no extension') for 1 .. 2;
is($node->safe_psql('plain', "SELECT state FROM cache_explain('$question')"), 'hit', 'it is cached');
$plain->query_safe('COMMIT');
$plain->quit;
is($node->safe_psql('plain', compared($question)), '[{"v": 2}]|[{"v": 2}]', 'and written by one who was there before');

# ---------------- restart with a prepared transaction ----------------

sql(q{BEGIN; UPDATE t SET v = 4242; PREPARE TRANSACTION 'p'});
$reader->quit;
$own->quit;
$node->restart;
$reader = $node->background_psql('postgres', on_error_stop => 1);
ask($t);
take_xid($node);
sees('prepared before the restart', q{COMMIT PREPARED 'p'}, $t);

$reader->quit;
sound($node, 'track_all');
unlike(slurp_file($node->logfile), qr/TRAP:|leak:/, 'nothing in the log');
$node->stop;

# ---------------- not preloaded ----------------

my $late = PostgreSQL::Test::Cluster->new('late');
$late->init;
$late->append_conf('postgresql.conf', "cachekit.track = all\n");
$late->start;
$late->safe_psql('postgres', 'CREATE EXTENSION cachekit; CREATE TABLE t AS SELECT 1 AS v');
($code, $out, $err) = $late->psql('postgres',
	q{SELECT state, reason FROM cache_explain('SELECT * FROM t'); SHOW cachekit.track});
is($out, "bypass|table public.t is not tracked\ntriggers", 'not preloaded: triggers only');
like($err, qr/WARNING:.*cachekit.track = all has no effect.*HINT:.*shared_preload_libraries/s,
	'not preloaded: the session is told');
$late->stop;

done_testing();
