# Transparent mode among other libraries that use the same hooks, before and
# after it in shared_preload_libraries, and with JIT and parallel plans.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

if (($ENV{CACHEKIT_MODE} // 'preload') ne 'preload')
{
	plan skip_all => 'libraries are preloaded';
}

my $join = 'SELECT count(*), sum(b.v) FROM a JOIN b ON b.a = a.id WHERE a.v < 50';

# The value of a property in the JSON form of EXPLAIN ANALYZE.
sub explained
{
	my ($node, $settings, $query) = @_;

	return $node->safe_psql('postgres', $settings .
		"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF, SUMMARY OFF, COSTS OFF) $query");
}

sub try_order
{
	my ($name, $libraries, $plans) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', qq{
shared_preload_libraries = '$libraries'
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_nested_statements = on
pg_stat_statements.track = all
pg_stat_statements.track_planning = on
autovacuum = off
});
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE EXTENSION cachekit;
		CREATE EXTENSION pg_stat_statements;
		CREATE TABLE a (id int PRIMARY KEY, v int);
		CREATE TABLE b (id int PRIMARY KEY, a int, v int);
		INSERT INTO a SELECT g, g % 100 FROM generate_series(1, 1000) g;
		INSERT INTO b SELECT g, g % 1000, g FROM generate_series(1, 20000) g;
		SELECT cache_track('a'), cache_track('b');
		CREATE FUNCTION inner_count() RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE n bigint;
		BEGIN
			SELECT /*+ cachekit */ count(*) INTO n FROM a;
			RETURN n;
		END $$;
		ANALYZE;
	});
	my $direct = $node->safe_psql('postgres', $join);
	$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
	my $from = -s $node->logfile;

	is($node->safe_psql('postgres', "/*+ cachekit */ $join"), $direct, "$name: miss")
	  for 1 .. 2;
	is($node->safe_psql('postgres', 'SELECT inner_count()'), '1000', "$name: nested")
	  for 1 .. 2;
	my $log = slurp_file($node->logfile, $from);
	like($log, qr/Custom Scan \(CachedResult\).*?Cache: miss.*?Join/s,
		"$name: auto_explain shows a miss with its plan");
	like($log, qr/Custom Scan \(CachedResult\)[^\n]*\n\s*Cache: hit\n/,
		"$name: and a hit");
	# 18 shows a statement without the comments before it
	is($node->safe_psql('postgres', q{
		SELECT calls, rows, plans FROM pg_stat_statements
		WHERE regexp_replace(query, '^/\*[^*]*\*/ ', '') LIKE 'SELECT count(*), sum%'}),
		"2|2|$plans", "$name: each call is counted once");
	is($node->safe_psql('postgres', q{
		SELECT calls, rows FROM pg_stat_statements WHERE query LIKE 'SELECT /*+ cachekit */ count(*)%'}),
		'2|2', "$name: nested ones too");
	return $node;
}

my $node = try_order('before', 'cachekit,auto_explain,pg_stat_statements', 2);
$node->stop;
# here ours is called first, and does not plan what is there
$node = try_order('after', 'pg_stat_statements,auto_explain,cachekit', 1);

# Parallel plans: workers run the child, hits need none.
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
	SET debug_parallel_query = on; ';
$parallel =~ s/SET debug_parallel_query = on; // if $node->pg_version < 16;
my $query = '/*+ cachekit */ SELECT v % 7, count(*) FROM b GROUP BY 1 ORDER BY 1';
my $miss = explained($node, $parallel, $query);
like($miss, qr/"Cache": "miss".*"Workers Launched": [12]/s, 'a miss with workers');
like(explained($node, $parallel, $query), qr/"Cache": "hit"/, 'and a hit');
unlike(explained($node, $parallel, $query), qr/Workers Launched/, 'without');
$node->safe_psql('postgres', 'UPDATE b SET v = v + 1 WHERE id = 1');
is($node->safe_psql('postgres', "$parallel $query"),
	$node->safe_psql('postgres', $query =~ s/.*\*\///r), 'the same rows');
# a cursor over a parallel plan, left in the middle: parallel mode is not left on
is($node->safe_psql('postgres', $parallel . q{
	BEGIN;
	DECLARE c CURSOR FOR /*+ cachekit */ SELECT v % 11, count(*) FROM b GROUP BY 1 ORDER BY 1;
	FETCH 1 c;
	INSERT INTO a VALUES (100000, 0);
	FETCH 1 c;
	ROLLBACK}), "0|1818\n1|1818", 'a write between two fetches');

# JIT
SKIP:
{
	skip 'no JIT', 2
	  if $node->safe_psql('postgres', 'SELECT pg_jit_available()') ne 't';
	my $jit = 'SET jit = on; SET jit_above_cost = 0; SET jit_inline_above_cost = 0; ';
	my $sum = 'SELECT sum(v * 3 + a) FROM b WHERE v % 2 = 0';

	is($node->safe_psql('postgres', "$jit /*+ cachekit */ $sum"),
		$node->safe_psql('postgres', $sum), 'compiled');
	like(explained($node, $jit, "/*+ cachekit */ $sum"), qr/"Cache": "hit"/, 'hit');
}

# Run-time pruning: what a generic plan prunes depends on the parameter.
$node->safe_psql('postgres', q{
	CREATE TABLE p (k int, v int) PARTITION BY RANGE (k);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
	INSERT INTO p SELECT g % 20, g FROM generate_series(1, 200) g;
	SELECT cache_track('p');
});
is($node->safe_psql('postgres', q{
	SET plan_cache_mode = force_generic_plan;
	PREPARE q(int) AS /*+ cachekit */ SELECT count(*), min(v) FROM p WHERE k = $1;
	EXECUTE q(3); EXECUTE q(3); EXECUTE q(13);
	UPDATE p SET k = 13 WHERE v = 3;
	EXECUTE q(3); EXECUTE q(13); EXECUTE q(13);}),
	"10|3\n10|3\n10|13\n9|23\n11|3\n11|3", 'pruned at run time');

sound($node, 'structures');
$node->stop;
done_testing();
