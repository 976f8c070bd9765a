# stale_while_revalidate and keep_warm: workers compute results as who asked,
# within bounds; nothing stale is given to who has not asked for it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use CacheTest;

my $node = new_node('warm', "cachekit.worker_idle_timeout = 2s\ncachekit.warm_share = 50\n");

$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# within 30 seconds, as this user
sub becomes_true
{
	my ($query, $user) = @_;
	my @who = $user ? ('-U', $user) : ();

	for (1 .. 300)
	{
		return 1 if $node->safe_psql('postgres', $query, extra_params => \@who) eq 't';
		usleep(100_000);
	}
	return 0;
}

sub until_true
{
	my ($query, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(becomes_true($query), $label);
}

sub set
{
	my ($name, $value) = @_;

	$node->safe_psql('postgres', "LOAD 'cachekit';\nALTER SYSTEM SET $name = $value");
	$node->reload;
	return until_true("SELECT current_setting('$name') = '$value'", "$name = $value");
}

# what a call gives, with these options
sub call
{
	my ($options, $query) = @_;

	$query //= 'SELECT sum(v)::int FROM t';
	return sql("SELECT * FROM cached_query('$query', $options) AS r(v int)");
}

sub debug_build
{
	return sql(q{LOAD 'cachekit';
		SELECT count(*) FROM pg_settings WHERE name = 'cachekit.debug_point'}) > 0;
}
sub stats { return sql("SELECT $_[0] FROM cachekit_stats"); }
sub warmed { return sql(q{SELECT coalesce(sum(warmed), 0) FROM cachekit_workers}); }

my $load = "LOAD 'cachekit';\n";	# hints need it
my $stale = q{stale_while_revalidate => '1 hour'};
my $warm = q{keep_warm => true};

sql(q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	INSERT INTO t VALUES (1, 1);
	SELECT cache_track('t');
	CREATE ROLE reader LOGIN;
	GRANT SELECT ON t TO reader;
});

# Stale at once, and new soon.
is(call($stale), 1, 'computed');
sql('UPDATE t SET v = 2');
is(call($stale), 1, 'stale, as asked for');
is(stats('stale_hits'), 1, 'and counted');
until_true(q{SELECT state = 'hit' FROM cache_explain('SELECT sum(v)::int FROM t')},
	'a worker has computed it');
my $misses = stats('misses');
is(call('ttl => NULL'), 2, 'the new result');
is(stats('misses'), $misses, 'without a miss');

# The same by a hint.
my $hinted = 'SELECT max(v) FROM t';
is(sql("${load}/*+ cachekit */ $hinted"), 2, 'hinted: computed');
is(sql("${load}/*+ cachekit(swr=1h) */ $hinted"), 2, 'hinted: found valid');
sql('UPDATE t SET v = 3');
is(sql("${load}/*+ cachekit(swr=1h) */ $hinted"), 2, 'hinted: stale, as asked for');
until_true("SELECT state = 'hit' FROM cache_explain('$hinted')", 'hinted: a worker has computed it');
is(sql("${load}/*+ cachekit */ $hinted"), 3, 'hinted: the new result');

# Never to who has not asked for it, has written, or keeps a snapshot.
set('cachekit.warm_share', 0);
sql('UPDATE t SET v = 3');
is(call('ttl => NULL'), 3, 'exact');
sql('UPDATE t SET v = 4');
is(sql("BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT * FROM cached_query('SELECT sum(v)::int FROM t', $stale) AS r(v int)"),
	4, 'exact in REPEATABLE READ');
sql('UPDATE t SET v = 5');
is(sql("BEGIN; INSERT INTO t VALUES (2, 10);
	SELECT * FROM cached_query('SELECT sum(v)::int FROM t', $stale) AS r(v int); ROLLBACK"),
	15, 'exact after a write of our own');
is(call(q{stale_while_revalidate => '0'}), 5, 'exact with no interval');
sql('UPDATE t SET v = 6');
is(sql("SELECT pg_sleep(0.05); SELECT * FROM cached_query('SELECT sum(v)::int FROM t',
	stale_while_revalidate => '10 ms') AS r(v int)"), "\n6", 'exact when it is too old');

# Without workers one reader computes, the others are given what there is.
sql('UPDATE t SET v = 7');
is(call($stale), 7, 'the first computes');
sql('UPDATE t SET v = 8');
my $leader = $node->background_psql('postgres');
my $gate = $node->background_psql('postgres');
SKIP:
{
	skip 'needs debug points', 3 unless debug_build();
	$gate->query('SELECT pg_advisory_lock(42)');
	$leader->query("LOAD 'cachekit'; SET cachekit.debug_point = 'fill:42'");
	$leader->query_until(qr/begun/, "\\echo begun
		SELECT * FROM cached_query('SELECT sum(v)::int FROM t', $stale) AS r(v int);\n");
	wait_blocked($node, 1);
	is(call($stale), 7, 'who comes meanwhile gets the old one');
	$gate->query('SELECT pg_advisory_unlock(42)');
	ok($leader->quit, 'the leader is done');
	is(call('ttl => NULL'), 8, 'and has stored the new one');
}

# Kept warm: computed after a change, as the role that asked, without a miss.
set('cachekit.warm_share', 50);
is($node->safe_psql('postgres',
		"SELECT * FROM cached_query('SELECT sum(v)::int FROM t', $warm) AS r(v int)",
		extra_params => [ '-U', 'reader' ]), '8', 'computed by its reader');
sql('UPDATE t SET v = 9');
my $as_reader = q{SELECT state = 'hit'
	FROM cache_explain('SELECT sum(v)::int FROM t')};
ok(becomes_true($as_reader, 'reader'), 'kept warm for the role');
$misses = stats('misses');
is($node->safe_psql('postgres',
		"SELECT * FROM cached_query('SELECT sum(v)::int FROM t', $warm) AS r(v int)",
		extra_params => [ '-U', 'reader' ]), '9', 'as the role');
is(stats('misses'), $misses, 'without a miss');

# It ends when nobody reads any more ...
sql('UPDATE t SET v = 10');
ok(becomes_true($as_reader, 'reader'), 'once more');
sql('UPDATE t SET v = 11');
until_true(q{SELECT count(*) = 0 FROM cachekit_workers}, 'the worker has gone');
is($node->safe_psql('postgres', $as_reader, extra_params => [ '-U', 'reader' ]), 'f', 'unread, it is computed only once');

# ... and when the role may not any more.
$node->safe_psql('postgres',
	"SELECT * FROM cached_query('SELECT sum(v)::int FROM t', $warm) AS r(v int)",
	extra_params => [ '-U', 'reader' ]);
sql('REVOKE SELECT ON t FROM reader');
until_true(q{SELECT count(*) = 0 FROM cachekit_workers}, 'forgotten');

# A refresh that fails is forgotten, and asked for again by the next reader.
sql('CREATE TABLE z (v int); INSERT INTO z VALUES (1); SELECT cache_track(\'z\')');
my $division = 'SELECT 10 / v FROM z';
is(call($warm, $division), 10, 'computed');
sql('UPDATE z SET v = 0');
until_true(q{SELECT count(*) = 0 FROM cachekit_workers}, 'the worker has gone');
like(slurp_file($node->logfile), qr/division by zero/, 'after a report');
sql('UPDATE z SET v = 2');
is(call($warm, $division), 5, 'computed again');
is(call($warm, $division), 5, 'read');
sql('UPDATE z SET v = 5');
until_true("SELECT state = 'hit' FROM cache_explain('$division')", 'kept warm again');

# With hints, too.
my $kept = '/*+ cachekit(keep_warm) */ SELECT max(v) FROM z';
is(sql($load . $kept), 5, 'by hint');
is(sql($load . $kept), 5, 'read');
my $before = warmed();
sql('UPDATE z SET v = 1');
until_true("SELECT sum(warmed) > $before FROM cachekit_workers", 'kept warm by hint');
$misses = stats('misses');
is(sql($load . $kept), 1, 'the new result');
is(stats('misses'), $misses, 'without a miss');

# Expiry: it is computed anew before its time is over.
is(call("$warm, ttl => '4 s'", 'SELECT min(v) FROM z'), 1, 'with a ttl');
is(call("$warm, ttl => '4 s'", 'SELECT min(v) FROM z'), 1, 'read');
until_true(q{SELECT sum(hits) = 0 AND min(expires_in) > '2 s' AND min(age) < '2 s'
	FROM cachekit_entries WHERE query LIKE '%min(v) FROM z'}, 'renewed before it expires');

sound($node, 'in the end');
done_testing();
