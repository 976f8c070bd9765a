# A backend dies in the middle: the server starts over with an empty cache,
# and what it answers then is right, wherever the backend was.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $node = new_node('crash', "restart_after_crash = on\n");	# see CACHEKIT_MODE
my $q = 'SELECT id, v FROM t ORDER BY id';

$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	INSERT INTO t VALUES (1, 1), (2, 2);
	SELECT cache_track('t');
});

sub fill
{
	take_xid($node);
	answer_is($node, $q, undef, "$_[0]: filled");
	is_hit($node, $node, $q, undef, "$_[0]: cached");
	$node->safe_psql('postgres', q{SELECT cache_set('k', 'v')});
	is($node->safe_psql('postgres', q{SELECT cache_get('k')}), 'v', "$_[0]: key/value");
}

# crash(LABEL, PID): kill the backend, and wait until the server is up again.
sub crash
{
	my ($label, $pid) = @_;
	my $at = -s $node->logfile;

	is(kill('KILL', $pid), 1, "$label: killed");
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $at);
	$node->wait_for_log(qr/database system is ready to accept connections/, $at);
	ok($node->poll_query_until('postgres', 'SELECT true'), "$label: up again");
	is(counters($node)->{entries}, 0, "$label: the cache is empty");
	is($node->safe_psql('postgres', q{SELECT cache_get('k') IS NULL}), 't',
		"$label: so are keys and values");
}

sub pid { return $_[0]->query_safe('SELECT pg_backend_pid()'); }

sub gone
{
	my ($session) = @_;

	eval { $session->quit };
	return;
}

# An idle backend that used the cache; others have transactions open.
fill('idle');
my $victim = $node->background_psql('postgres');
my $writer = $node->background_psql('postgres');
answer_is($victim, $q, undef, 'victim reads');
$writer->query_safe('BEGIN; UPDATE t SET v = v + 1 WHERE id = 1');
$node->safe_psql('postgres',
	q{BEGIN; UPDATE t SET v = 20 WHERE id = 2; PREPARE TRANSACTION 'left'});
crash('idle', pid($victim));
gone($_) for $victim, $writer;
answer_is($node, $q, '[{"v": 1, "id": 1}, {"v": 2, "id": 2}]', 'idle: the open transaction is lost') for 1 .. 2;
fill('idle, after');
$node->safe_psql('postgres', q{COMMIT PREPARED 'left'});
answer_is($node, $q, '[{"v": 1, "id": 1}, {"v": 20, "id": 2}]', 'idle: the prepared one is not') for 1 .. 2;

# Killed at each step of a write and of a fill.
my $holder;
for my $step (
	[ registered => 'UPDATE t SET v = v + 1 WHERE id = 1', 0 ],
	[ committed => 'UPDATE t SET v = v + 1 WHERE id = 1', 1 ],
	[ fill => "SELECT cached_query_json('$q')", 0 ],
	[ publish => "SELECT cached_query_json('$q')", 0 ])
{
	my ($point, $sql, $committed) = @$step;
	my $v = $node->safe_psql('postgres', 'SELECT v FROM t WHERE id = 1');

	fill($point);
	$holder = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(4711)');
	$victim = $node->background_psql('postgres');
	my $pid = pid($victim);
	$node->safe_psql('postgres', 'SELECT cache_flush()') if $sql =~ /^SELECT/;
	$victim->query_safe("SET cachekit.debug_point = '$point:4711'");
	$victim->query_until(qr//, "$sql;\n");
	ok(wait_blocked($node, 1), "$point: there it is");
	answer_is($node, $q, undef, "$point: others read on") if $sql =~ /^UPDATE/;
	crash($point, $pid);
	gone($_) for $victim, $holder;
	is($node->safe_psql('postgres', 'SELECT v FROM t WHERE id = 1'),
		$v + $committed, "$point: " . ($committed ? 'committed' : 'not committed'));
	answer_is($node, $q, undef, "$point: right after the crash") for 1 .. 2;
	fill("$point, after");
	$node->safe_psql('postgres', 'UPDATE t SET v = v + 1 WHERE id = 2');
	answer_is($node, $q, undef, "$point: after a write") for 1 .. 2;
}

# The whole server dies.
fill('all');
my $before = $node->safe_psql('postgres', 'SELECT v FROM t WHERE id = 1');
$node->safe_psql('postgres', 'UPDATE t SET v = v + 1 WHERE id = 1');
$node->kill9;
# its children notice, and then leave the shared memory
for (1 .. 600)
{
	last if $node->start(fail_ok => 1);
	$node->stop('fast', fail_ok => 1);
	select(undef, undef, undef, 0.1);
}
is(counters($node)->{entries}, 0, 'all: the cache is empty');
answer_is($node, $q, undef, 'all: first read') for 1 .. 2;
is($node->safe_psql('postgres', 'SELECT v FROM t WHERE id = 1'), $before + 1, 'all: recovered');
fill('all, after');

# Killed under load, and the load goes on.
$node->safe_psql('postgres', q{
	CREATE FUNCTION compare() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT cached_query_json('SELECT id, v FROM t ORDER BY id') <>
			(SELECT jsonb_agg(to_jsonb(q)) FROM (SELECT id, v FROM t ORDER BY id) q)) THEN
			RAISE LOG 'wrong answer';
		END IF;
	END $$;
});
my $script = $node->basedir . '/load.sql';
append_to_file($script, "SELECT compare();\nUPDATE t SET v = v + 1 WHERE id = 1 + :client_id % 2;\nSELECT compare();\n");
for my $round (1 .. 3)
{
	my ($out, $err) = ('', '');
	local $ENV{PGAPPNAME} = 'load';
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 8, '-T', 60, '-f', $script, '-h', $node->host,
			'-p', $node->port, 'postgres' ],
		'>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$node->poll_query_until('postgres',
		"SELECT count(*) > 2 FROM pg_stat_activity WHERE application_name = 'load' AND query LIKE '%compare%'");
	my $pid = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE application_name = 'load' AND query LIKE '%compare%' LIMIT 1");
	crash("load $round", $pid);
	eval { $load->finish };			# its connections are gone
	answer_is($node, $q, undef, "load $round: after") for 1 .. 3;
	sound($node, "load $round");
}
unlike(slurp_file($node->logfile), qr/(?:LOG|ERROR):  (?:wrong answer|cach)/, 'no wrong answer under load');

$node->stop;
done_testing();
