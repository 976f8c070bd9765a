# The session that computes for the others is cancelled, terminated, or fails:
# one of those who wait takes over, and all are answered.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $node = new_node('leader');		# in the mode of CACHEKIT_MODE

$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY);
	INSERT INTO t SELECT generate_series(1, 10);
	SELECT cache_track('t');
	CREATE FUNCTION may_fail(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
	BEGIN
		IF current_setting('test.fail', true) = 'on' THEN
			RAISE EXCEPTION 'failed on purpose';
		END IF;
		RETURN x;
	END $$;
});

my $holder = $node->background_psql('postgres');
my $round = 0;

# session(SETTINGS): one that is ready to ask
sub session
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe($_) for @_;
	return $session;
}

sub pid { return $_[0]->query_safe('SELECT pg_backend_pid()'); }

# fate(LABEL, SETTINGS-OF-THE-LEADER, CODE): the leader waits in the middle of
# its work, three others wait for it; CODE ends the leader.
sub fate
{
	my ($label, $settings, $end) = @_;
	my $query = 'SELECT sum(may_fail(id)) + ' . $round++ . ' AS s FROM t';
	my $answer = '[{"s": ' . (54 + $round) . '}]';
	my $leader = session(q{SET cachekit.debug_point = 'fill:4711'}, @$settings);
	my @others = map { session() } 1 .. 3;
	my $pid = pid($leader);

	$holder->query_safe('SELECT pg_advisory_lock(4711)');
	$leader->query_until(qr//, "SELECT cached_query_json('$query');\n");
	wait_blocked($node, 1);
	$_->query_until(qr//, "SELECT cached_query_json('$query');\n") for @others;
	ok(wait_blocked($node, 4), "$label: all wait");
	$end->($pid);
	for (@others)
	{
		is($_->query("SELECT 'done'"), "$answer\ndone", "$label: answered");
		is($_->{stderr}, '', "$label: without an error");
	}
	$holder->query_safe('SELECT pg_advisory_unlock_all()');
	is_hit($node, $node, $query, $answer, $label);
	my ($out) = eval { $leader->query('SELECT 1') };
	my $said = $leader->{stderr} // '';
	eval { $leader->quit };
	$_->quit for @others;
	return $said;
}

like(fate('cancelled', [],
		sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend($_[0])") }),
	qr/canceling statement due to user request/, 'the leader was cancelled');
fate('terminated', [],
	sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0])") });
like(fate('timed out', [q{SET statement_timeout = '3s'}], sub { }),
	qr/canceling statement due to statement timeout/, 'the leader timed out');
like(fate('failed', ['SET test.fail = on'],
		sub { $holder->query_safe('SELECT pg_advisory_unlock(4711)') }),
	qr/failed on purpose/, 'the leader failed');

# The others are cancelled while they wait; the leader does not mind.
{
	my $leader = session(q{SET cachekit.debug_point = 'fill:4711'});
	my @others = map { session() } 1 .. 2;
	my $query = 'SELECT count(*) AS n FROM t';

	$holder->query_safe('SELECT pg_advisory_lock(4711)');
	$leader->query_until(qr//, "SELECT cached_query_json('$query');\n");
	wait_blocked($node, 1);
	$_->query_until(qr//, "SELECT cached_query_json('$query');\n") for @others;
	ok(wait_blocked($node, 3), 'two wait');
	$node->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM pg_locks l '
		  . 'WHERE NOT granted AND locktype = \'advisory\' AND pid <> '
		  . '(SELECT pid FROM pg_locks WHERE NOT granted AND locktype = \'advisory\' '
		  . 'AND objid = 4711 AND objsubid = 1)');
	for (@others)
	{
		$_->query('SELECT 1');
		like($_->{stderr}, qr/canceling statement due to user request/, 'cancelled');
	}
	$holder->query_safe('SELECT pg_advisory_unlock(4711)');
	is($leader->query(q{SELECT 'done'}), "[{\"n\": 10}]\ndone", 'the leader is answered');
	is_hit($node, $node, $query, '[{"n": 10}]', 'stored');
	$_->quit for $leader, @others;
}

# A leader in a subtransaction that is rolled back gives the lease back.
is($node->safe_psql('postgres', q{
		SET test.fail = on;
		DO $$
		BEGIN
			PERFORM cached_query_json('SELECT max(may_fail(id)) AS m FROM t');
		EXCEPTION WHEN raise_exception THEN
			PERFORM set_config('test.fail', 'off', false);
		END $$;
		SELECT cached_query_json('SELECT max(may_fail(id)) AS m FROM t')}),
	'[{"m": 10}]', 'failed in a subtransaction, asked again');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}),
	0, 'no lease is left');

$holder->quit;
sound($node, 'leader');
$node->stop;
done_testing();
