# The storm of 030 over what it leaves out: targets that are computed as a
# whole, targets of targets, partitions, set operations, windows, keys of
# several nullable columns, joins of different types; transactions at all
# isolation levels that change very much at once, truncate, are prepared,
# change modes, refresh, or go on after an error.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;
use DenormStorm;

my $bursts = $ENV{STORM_BURSTS} // 2;
my $node = new_node('storm', "deadlock_timeout = 20ms\n");	# in the mode of CACHEKIT_MODE

$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE c (id int PRIMARY KEY, r int, n numeric);
	CREATE TABLE o (id int, c int, v int) PARTITION BY RANGE (c);
	CREATE TABLE o_1 PARTITION OF o FOR VALUES FROM (0) TO (5);
	CREATE TABLE o_2 (v int, c int, id int);
	ALTER TABLE o ATTACH PARTITION o_2 FOR VALUES FROM (5) TO (100);
	CREATE TABLE o_0 PARTITION OF o DEFAULT;
	CREATE TABLE l (id int PRIMARY KEY, o int, q int);
	CREATE INDEX ON o (c);
	CREATE INDEX ON o (id);
	CREATE INDEX ON l (o);
	INSERT INTO c SELECT i, i % 3, i FROM generate_series(1, 8) i;
	INSERT INTO o SELECT i, nullif(1 + i % 9, 9), i FROM generate_series(1, 30) i;
	INSERT INTO l SELECT i, 1 + i % 30, i FROM generate_series(1, 60) i;
	-- by key
	SELECT denorm_create('k1', 'SELECT o.c, o.v % 3 AS m, count(*) AS n, sum(l.q) AS q
		FROM o LEFT JOIN l ON l.o = o.id GROUP BY 1, 2', '{c,m}');
	SELECT denorm_create('k2', 'SELECT c.r, count(*) AS n, sum(l.q) AS q
		FROM c JOIN o ON o.c = c.n JOIN l ON l.o = o.id GROUP BY c.r', '{r}', 'async');
	SELECT denorm_create('k3', 'SELECT c, id, rank() OVER (PARTITION BY c ORDER BY v, id) AS r FROM o', '{c}', 'deferred');
	SELECT denorm_create('k4', 'SELECT c.r, sum(u.v) AS v FROM c JOIN (SELECT c AS k, v FROM o
		UNION ALL SELECT o::numeric, q FROM l) u ON u.k = c.n GROUP BY c.r', '{r}');
	SELECT denorm_create('k5', 'SELECT v, count(*) AS n FROM o_1 GROUP BY v', '{v}', 'async');
	SELECT denorm_create('k6', 'SELECT c.id FROM c WHERE NOT EXISTS (SELECT FROM o JOIN l ON l.o = o.id
		WHERE o.c = c.id AND l.q % 2 = 0)', '{id}', 'deferred');
	-- as a whole
	SELECT denorm_create('w1', 'SELECT id, v FROM o ORDER BY v DESC NULLS LAST, id LIMIT 5', '{id}', 'async');
	SELECT denorm_create('w2', 'SELECT coalesce(c.id, o.c) AS k, count(c.id) AS c, count(o.id) AS o, 0 AS x
		FROM c FULL JOIN o ON o.c = c.id GROUP BY 1', '{k}', 'deferred');
	-- of other targets
	SELECT denorm_create('t1', 'SELECT m, sum(n) AS n, sum(q) AS q FROM k1 GROUP BY m', '{m}', 'deferred');
	SELECT denorm_create('t2', 'SELECT k1.c, count(*) AS n, max(c.r) AS r FROM k1 JOIN c ON c.id = k1.c GROUP BY k1.c', '{c}');
	SELECT denorm_create('t3', 'SELECT n > 4 AS many, count(*) AS n FROM t1 GROUP BY 1', '{many}', 'async');
});

my %storm = (
	move => '
\set a random(0, 10)
\set b random(1, 36)
\set d random(1, 70)
UPDATE o SET c = nullif(:a, 10), v = :d WHERE id = :b;
UPDATE l SET o = :b WHERE id = :d;',
	add => '
\set a random(0, 10)
\set b random(1, 36)
\set d random(1, 70)
INSERT INTO o VALUES (:b, nullif(:a, 10), :d);
INSERT INTO l VALUES (:d, :b, :d) ON CONFLICT (id) DO UPDATE SET o = excluded.o, q = excluded.q;',
	remove => '
\set b random(1, 36)
WITH x AS (DELETE FROM l WHERE o = :b) DELETE FROM o WHERE id = :b;',
	customer => '
\set a random(1, 10)
\set e random(1, 5)
DELETE FROM c WHERE id = :e;
INSERT INTO c VALUES (:a, :e, :a) ON CONFLICT (id) DO UPDATE SET r = excluded.r, n = :e;',
	bulk => '
\set a random(1, 3)
UPDATE o SET v = v + 1 WHERE id % 3 = :a - 1;
UPDATE l SET q = q + 1;',
	partition => '
\set a random(1, 9)
\set b random(1, 36)
UPDATE o_2 SET c = c + 1 WHERE id = :b;
DELETE FROM o_1 WHERE v = :a;
INSERT INTO o_2 VALUES (:a, 5, :b);',
	savepoint => '
\set a random(1, 10)
\set b random(1, 36)
UPDATE c SET r = :a WHERE id = :a;
SAVEPOINT s;
DELETE FROM l;
UPDATE o SET c = :a;
ROLLBACK TO s;
UPDATE o SET c = :a WHERE id = :b;
SAVEPOINT s2;
UPDATE l SET o = :b WHERE o = :a;
RELEASE s2;',
	caught => '
\set a random(1, 10)
DO $$ BEGIN UPDATE l SET q = q + 1 WHERE o = :a; UPDATE o SET v = 1 / 0 WHERE c = :a; EXCEPTION WHEN division_by_zero THEN NULL; END $$;
UPDATE o SET v = v + 1 WHERE c = :a;',
	nothing => '
\set a random(1, 10)
UPDATE o SET v = v + 1, c = :a WHERE c <> :a;
DELETE FROM c;',
	prepared => '
\set a random(1, 10)
\set b random(1, 36)
\set g random(1, 2000000000)
UPDATE o SET c = :a WHERE id = :b;
DELETE FROM l WHERE id = :b;');
my %ends = (nothing => 'ROLLBACK;', prepared => 'PREPARE TRANSACTION \':g\';' . "\nCOMMIT PREPARED ':g';");

write_storm($node, \%storm, \%ends);
my %rare = (
	truncate => "BEGIN;\nTRUNCATE l;\nINSERT INTO l SELECT i, 1 + i % 30, i FROM generate_series(1, 60) i;\nCOMMIT;",
	refresh => "SELECT denorm_refresh('k1');\nSELECT denorm_refresh('w1');",
	modes => "\\set m random(1, 3)\nSELECT denorm_set_mode(t::regclass, (ARRAY['immediate', 'deferred', 'async'])[:m])"
	  . " FROM unnest(ARRAY['k4', 't2', 'w1', 'k6']) t;",
	attach => "BEGIN;\nALTER TABLE o DETACH PARTITION o_0;\nALTER TABLE o ATTACH PARTITION o_0 DEFAULT;\nCOMMIT;");
add_script($node, 'rare', $_, $rare{$_}) for sort keys %rare;

my %levels = ('READ COMMITTED' => 3, 'REPEATABLE READ' => 2, 'SERIALIZABLE' => 1);

storms($node, 'rows', $bursts, 12, %levels);
storms($node, 'and tables', $bursts, 12, %levels, 'rare' => 1);
# all targets in one mode
for my $mode ('immediate', 'async', 'deferred')
{
	$node->safe_psql('postgres', "SELECT denorm_set_mode(target, '$mode') FROM cachekit_denorm");
	storms($node, $mode, $bursts, 12, %levels);
}

# Single statements that change several keys, found over several tables, do not
# deadlock.  They are rolled back, so that the tables stay small, and only
# insert, so that there are no locks of rows.
$node->safe_psql('postgres', q{
	DO $$
	DECLARE
		t text;
	BEGIN
		FOR t IN SELECT target::text FROM cachekit_denorm ORDER BY 1 DESC LOOP
			PERFORM denorm_drop(t::regclass);
		END LOOP;
	END $$;
	CREATE TABLE ca (id int, r int);
	CREATE TABLE oa (id int, c int);
	CREATE TABLE la (o int, q int);
	INSERT INTO ca SELECT i, i % 4 FROM generate_series(1, 8) i;
	INSERT INTO oa SELECT i, 1 + i % 8 FROM generate_series(1, 20) i;
	INSERT INTO la SELECT 1 + i % 20, i FROM generate_series(1, 20) i;
	SELECT denorm_create('path', 'SELECT ca.r, sum(la.q) AS q, count(*) AS n
		FROM ca JOIN oa ON oa.c = ca.id JOIN la ON la.o = oa.id GROUP BY ca.r', '{r}')});
my @single;
for my $insert ('ca SELECT 1 + (:a + i * :s) % 8, (:b + i) % 4', 'oa SELECT 1 + (:a + i * :s) % 20, 1 + (:b + i * :s) % 8',
	'la SELECT 1 + (:a + i * :s) % 20, 1')
{
	push @single, '-f', add_script($node, 'single', 'single-' . substr($insert, 0, 2),
		"\\set a random(1, 20)\n\\set b random(1, 20)\n\\set s random(1, 5)\nBEGIN;\n"
		  . "INSERT INTO $insert FROM generate_series(1, 4) i;\nROLLBACK;");
}
{
	local $ENV{PGOPTIONS} = '-c cachekit.debug_delay=3000';

	# without a second try
	$node->command_like([ 'pgbench', '-n', '-t', 30, '-c', 8, '-h', $node->host, '-p', $node->port, @single, 'postgres' ],
		qr/actually processed: 240\/240/, 'single statements do not deadlock');
}
is(wrong($node), '', 'and change nothing when rolled back');
is($node->safe_psql('postgres', q{SELECT sum(pending), sum(set_aside) FROM cachekit_denorm}),
	'0|0', 'nothing is left in the queue');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_prepared_xacts}), '0', 'nothing is left prepared');
sound($node, 'afterwards');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|leak|terminated by signal/, 'log');
$node->stop;
done_testing();
