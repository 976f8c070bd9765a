# Results kept warm, by rule as by name; as whom they are computed; and how much
# of a worker's time they may take.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use CacheTest;

my $node = new_node('warm_more', "cachekit.worker_idle_timeout = 1s\n"
	  . "cachekit.warm_share = 50\ncompute_query_id = on\n");

$node->start;

# sql(STATEMENTS, USER)
sub sql
{
	my ($sql, $user) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => $user ? [ '-U', $user ] : []);
}

# within 30 seconds
sub until_true
{
	my ($sql, $label, $user) = @_;
	my $got;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for (1 .. 300)
	{
		return pass($label) if ($got = sql($sql, $user)) =~ /^t$/m;
		usleep(100_000);
	}
	return is($got, 't', $label);
}

sub set
{
	my ($name, $value) = @_;

	$node->safe_psql('postgres', "LOAD 'cachekit';\nALTER SYSTEM SET $name = '$value'");
	$node->reload;
	return until_true("SELECT current_setting('$name') = '$value'", "$name = $value");
}

sub misses { return sql('SELECT misses FROM cachekit_stats'); }

my $load = "LOAD 'cachekit';\n";

sql(q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, v int, owner name);
	INSERT INTO t VALUES (1, 1, 'ann'), (2, 10, 'bob');
	CREATE ROLE ann LOGIN;
	CREATE ROLE bob LOGIN;
	CREATE ROLE passing LOGIN;
	CREATE ROLE switching LOGIN IN ROLE ann;
	GRANT SELECT ON t TO ann, bob, passing;
	ALTER TABLE t ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON t USING (owner = current_user);
	CREATE TABLE u (id int, v int);
	INSERT INTO u VALUES (1, 1);
	CREATE SCHEMA a;
	CREATE TABLE a.u (id int, v int, at timestamptz);
	INSERT INTO a.u VALUES (1, 100, '2024-01-01 00:00+00');
	GRANT SELECT ON u, a.u TO PUBLIC;
	GRANT USAGE ON SCHEMA a TO PUBLIC;
	SELECT cache_track('t'), cache_track('u'), cache_track('a.u');
});

# By rule: a stale result at once, then the new one.
sub queryid
{
	return sql($load . "EXPLAIN (VERBOSE, FORMAT JSON) $_[0]") =~ /"Query Identifier": (-?\d+)/
	  ? $1 : die 'no query identifier';
}

my $swr = 'SELECT max(v) FROM u';
my $kept = 'SELECT min(v) FROM u';
sql(sprintf "SELECT cache_rule_create(%s, stale_while_revalidate => '1 hour')", queryid($swr));
sql(sprintf 'SELECT cache_rule_create(%s, keep_warm => true)', queryid($kept));
sub ruled { return sql("$load$_[0]"); }

is(ruled($swr), 1, 'rule: computed');
is(ruled($swr), 1, 'rule: valid');
sql('UPDATE u SET v = 2');
is(ruled($swr), 1, 'rule: stale, as it says');
until_true($load . "SELECT * FROM (VALUES ((SELECT 2 = ($swr)))) v", 'rule: then the new one');
sql('UPDATE u SET v = 3');
is(ruled($kept), 3, 'keep_warm by rule: computed, exactly');
is(ruled($kept), 3, 'read');
my $before = sql('SELECT coalesce(sum(warmed), 0) FROM cachekit_workers');
sql('UPDATE u SET v = 4');
until_true("SELECT sum(warmed) > $before FROM cachekit_workers", 'keep_warm by rule: computed by a worker');
my $misses = misses();
is(ruled($kept), 4, 'the new result');
is(misses(), $misses, 'without a miss');

# As the role that asked: its rows, under its settings.
my $sum = q{SELECT * FROM cached_query('SELECT sum(v)::int FROM t', keep_warm => true) AS r(v int)};
my $named = q{SET search_path = a, public; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';
	SELECT * FROM cached_query('SELECT v, at::text FROM u', keep_warm => true) AS r(v int, at text)};
my $session = q{SELECT * FROM cached_query('SELECT current_user || '' '' || session_user
	FROM u WHERE v > 0', keep_warm => true) AS r(v text)};
is(sql($sum, 'ann'), 1, 'row security: of one');
is(sql($sum, 'bob'), 10, 'of another');
is(sql("SET ROLE ann; $session", 'switching'), 'ann switching', 'session user and role');
is(sql($named, 'ann'), '100|01.01.2024 09:00:00 JST', 'names and settings');
$before = sql('SELECT coalesce(sum(warmed), 0) FROM cachekit_workers');
sql('UPDATE t SET v = v + 1; UPDATE a.u SET v = v + 1; UPDATE u SET v = v + 1');
until_true("SELECT sum(warmed) >= $before + 4 FROM cachekit_workers", 'all are computed anew');
$misses = misses();
is(sql($sum, 'ann'), 2, 'row security: of one');
is(sql($sum, 'bob'), 11, 'of another');
is(sql("SET ROLE ann; $session", 'switching'), 'ann switching', 'session user and role');
is(sql($named, 'ann'), '101|01.01.2024 09:00:00 JST', 'names and settings');
is(misses(), $misses, 'none of them missed');

# The job of a role that is dropped is in nobody's way.
is(sql(q{SELECT * FROM cached_query('SELECT count(*) FROM t', keep_warm => true) AS r(n bigint)}, 'passing'),
	0, 'a role that goes');
$before = sql('SELECT sum(warmed) FROM cachekit_workers');
sql('DROP OWNED BY passing; DROP ROLE passing; UPDATE t SET v = v + 1');
until_true("SELECT sum(warmed) >= $before + 2 FROM cachekit_workers", 'others are computed');
unlike(slurp_file($node->logfile), qr/invalid role OID|TRAP:|PANIC:/, 'without a complaint');

# No more than its share of a worker's time, however often the content changes:
# it changes whenever a worker has computed it, which takes 0.1 seconds.
set('cachekit.warm_share', 10);
sql(q{CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS 'BEGIN PERFORM pg_sleep(0.1); RETURN $1; END'});
my $slow = 'SELECT public.slow(max(v)) FROM public.u';
my $measure = q{SELECT extract(epoch FROM sum(warm_time)), extract(epoch FROM clock_timestamp())
	FROM cachekit_workers};
sql("SELECT * FROM cached_query('$slow', keep_warm => true) AS r(v int)");
my ($time, $clock) = split /\|/, sql($measure);
for (1 .. 10)
{
	sql('UPDATE u SET v = v + 1');
	until_true("SELECT state = 'hit' FROM cache_explain('$slow')", "change $_ is computed");
	sql("SELECT * FROM cached_query('$slow', keep_warm => true) AS r(v int)");
}
my ($time_after, $clock_after) = split /\|/, sql($measure);
my $used = $time_after - $time;
my $passed = $clock_after - $clock;
note "$used of $passed seconds";
cmp_ok($used, '>', 0.8, 'the worker has shown what it took');
cmp_ok($used, '<', 0.1 * $passed + 0.2, 'which was within its share');

sound($node, 'in the end');
$node->stop;
done_testing();
