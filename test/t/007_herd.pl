# Fifty sessions miss the same slow query at once: one of them runs it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $herd = 50;
my $node = new_node('herd');		# in the mode of CACHEKIT_MODE

$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, seconds float8);
	INSERT INTO t VALUES (1, 1), (2, 0);
	SELECT cache_track('t');
	CREATE FUNCTION slow(x float8) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS $$
	BEGIN
		RAISE LOG 'slow(%) runs', x;
		PERFORM pg_sleep(x);
		RETURN 2 * x;
	END $$;
});

# ask(SQL, ENVIRONMENT...): the herd's arguments for pgbench
sub script
{
	my ($name, $sql) = @_;
	my $file = $node->basedir . "/$name.sql";

	append_to_file($file, "$sql\n");
	return ('pgbench', '-n', '-c', $herd, '-j', 2, '-t', 1, '-f', $file,
		'-h', $node->host, '-p', $node->port, 'postgres');
}

sub runs_of
{
	my ($what, $since) = @_;
	my $log = substr(slurp_file($node->logfile), $since);

	return scalar(() = $log =~ /LOG:  \Q$what\E runs/g);
}

# Every session raises an error if its answer is not the right one.
sub asking
{
	my ($query, $answer) = @_;

	return "SELECT 1 / (cached_query_json('$query') = '$answer')::int;";
}

# The very first reader makes the record of what runs now; who comes at that
# same instant goes past the cache.
answer_is($node, 'SELECT count(*) AS n FROM t', '[{"n": 2}]', 'the first reader');
$node->safe_psql('postgres', 'SELECT cache_reset_stats()');

# As it comes: a query of one second.
my $start = -s $node->logfile;
command_checks_all(
	[ script('slow', asking('SELECT slow(seconds) AS s FROM t WHERE id = 1', '[{"s": 2}]')) ],
	0,
	[qr{transactions actually processed: $herd/$herd}],
	[qr{^(?!.*ERROR)}s],
	'all sessions are answered');
is(runs_of('slow(1)', $start), 1, 'the query ran once');
my $count = counters($node);
is($count->{misses}, 1, 'one miss');
is($count->{hits}, $herd - 1, 'the others were answered from the cache');

# Certainly all at once: the leader waits until everybody else waits for it.
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(4711)');
$start = -s $node->logfile;
my ($out, $err) = ('', '');
my $bench;
{
	local $ENV{PGOPTIONS} = '-c cachekit.debug_point=fill:4711';
	$bench = IPC::Run::start(
		[ script('held', asking('SELECT slow(seconds) AS s FROM t WHERE id = 2', '[{"s": 0}]')) ],
		'>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
}
ok(wait_blocked($node, $herd), 'one computes, all others wait');
is(runs_of('slow(0)', $start), 0, 'nobody has run it yet');
$holder->query_safe('SELECT pg_advisory_unlock(4711)');
ok($bench->finish, 'all sessions are answered') or diag($err);
like($out, qr{actually processed: $herd/$herd}, 'every one of them');
is(runs_of('slow(0)', $start), 1, 'the query ran once');
cmp_ok(counters($node)->{lease_waits}, '>=', $herd - 1, 'the waits are counted');

# A wait has its limit: then each computes alone.
$holder->query_safe('SELECT pg_advisory_lock(4711)');
$node->safe_psql('postgres', 'UPDATE t SET seconds = 0');
my $leader = $node->background_psql('postgres');
$leader->query_safe(q{SET cachekit.debug_point = 'fill:4711'});
$leader->query_until(qr//,
	"SELECT cached_query_json('SELECT slow(seconds) AS s FROM t WHERE id = 2');\n");
ok(wait_blocked($node, 1), 'a leader that takes long');
is($node->safe_psql('postgres',
		q{SET cachekit.lease_timeout = '50ms';
		SELECT cached_query_json('SELECT slow(seconds) AS s FROM t WHERE id = 2')}),
	'[{"s": 0}]', 'lease_timeout: computed alone');
is($node->safe_psql('postgres',
		q{SET cachekit.lease_timeout = 0;
		SELECT cached_query_json('SELECT slow(seconds) AS s FROM t WHERE id = 2')}),
	'[{"s": 0}]', 'and without waiting at all');
is($node->safe_psql('postgres',
		q{BEGIN; CREATE TABLE something_written ();
		SELECT cached_query_json('SELECT slow(seconds) AS s FROM t WHERE id = 2')}),
	'[{"s": 0}]', 'a transaction that has written does not wait');
$holder->query_safe('SELECT pg_advisory_unlock(4711)');
$leader->quit;
$holder->quit;

sound($node, 'herd');
$node->stop;
done_testing();
