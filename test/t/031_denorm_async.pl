# Mode async: workers come, work and go; nothing is lost or applied wrongly
# when they, or the server, die; keys that fail are set aside.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use CacheTest;

my $node = new_node('async', "cachekit.worker_idle_timeout = 2s\nrestart_after_crash = on\n");
my $preloaded = ($ENV{CACHEKIT_MODE} // 'preload') eq 'preload';

$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set
{
	my (%settings) = @_;

	# the names are known where the library is loaded
	$node->safe_psql('postgres', "LOAD 'cachekit';\n" . (defined $settings{$_}
		? "ALTER SYSTEM SET $_ = '$settings{$_}'" : "ALTER SYSTEM RESET $_")) for keys %settings;
	$node->reload;
	return;
}

sub true_copy
{
	my ($label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(sql(q{SELECT denorm_wait()}), 't', "$label: applied");
	is(sql(q{SELECT v.* FROM cachekit_denorm d, denorm_verify(d.target) v}), '',
		"$label: true");
	return;
}

sub worker { return sql(q{SELECT pid FROM cachekit_workers WHERE datname = 'postgres'}); }

sub until_true
{
	my ($query, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', $query), $label);
}

sql(q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, g int, v int);
	INSERT INTO t SELECT i, i % 10, i FROM generate_series(1, 100) i;
	SELECT denorm_create('d', 'SELECT g, count(*) AS n, sum(v) AS v FROM t GROUP BY g', '{g}', 'async');
});

# A worker comes when there is work, and goes.
sql(q{INSERT INTO t VALUES (101, 1, 1)});
true_copy('insert');
is(sql(q{SELECT n FROM d WHERE g = 1}), '11', 'the change is there');
isnt(worker(), '', 'a worker is there');
is(sql(q{SELECT keys >= 1 FROM cachekit_workers WHERE datname = 'postgres'}), 't',
	'it says what it did');
until_true(q{SELECT NOT EXISTS (SELECT FROM cachekit_workers)}, 'an idle worker leaves');
sql(q{UPDATE t SET g = 2 WHERE g = 3});
true_copy('update, with a new worker');

# What is rolled back leaves nothing; what is prepared comes with the commit.
set('cachekit.workers' => 0);
until_true(q{SELECT NOT EXISTS (SELECT FROM cachekit_workers)}, 'no workers');
sql(q{BEGIN; UPDATE t SET v = 0; ROLLBACK});
is(sql(q{SELECT pending, lag FROM cachekit_denorm}), '0|', 'nothing of a rollback');
sql(q{BEGIN; UPDATE t SET v = v + 1 WHERE g = 5; PREPARE TRANSACTION 'p'});
is(sql(q{SELECT pending FROM cachekit_denorm}), '0', 'nothing of a prepared transaction');
sql(q{COMMIT PREPARED 'p'});
is(sql(q{SELECT pending, lag > '0' FROM cachekit_denorm}), '1|t', 'but of its commit');
# denorm_wait() does the work when there are no workers
true_copy('without workers');

# Many changes of one key are computed once.
my $before = sql(q{SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'd'});
sql(q{UPDATE t SET v = v + 1 WHERE id = 42}) for 1 .. 20;
is(sql(q{SELECT pending FROM cachekit_denorm}), '20', 'twenty changes');
true_copy('twenty changes');
until_true(qq{SELECT n_tup_upd = $before + 1 FROM pg_stat_user_tables WHERE relname = 'd'},
	'are written once');

# A limit on the queue: who would add to it computes.
sql(q{UPDATE t SET v = v + 1});
set('cachekit.denorm_queue_limit' => 5);
sql(q{UPDATE t SET v = v + 1});
is(sql(q{SELECT pending FROM cachekit_denorm}), '9', 'the queue did not grow');
is(sql(q{SELECT * FROM denorm_verify('d')}), '', 'since the writer computed');
set('cachekit.denorm_queue_limit' => undef);
true_copy('after the limit');

# A barrier with a limit.
sql(q{UPDATE t SET v = v + 1 WHERE g = 4});
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe(q{BEGIN; SELECT * FROM cachekit_denorm_queue FOR UPDATE});
is(sql(q{SELECT denorm_wait('d', '300 ms')}), 'f', 'denorm_wait() gives up');
$holder->query_safe(q{COMMIT});
true_copy('and does not later');

# After a crash: psql may die while it talks to the server.
sub comes_back
{
	for (1 .. 1800)
	{
		return 1 if eval { $node->psql('postgres', 'SELECT 1', timeout => 10) == 0 };
		usleep(100_000);
	}
	return 0;
}

# The worker, or the server, dies in the middle of a batch.
for my $how ('kill', 'immediate', 'fast')
{
	set('cachekit.workers' => undef, 'cachekit.debug_point' => 'denorm_draining:4711');
	$holder->query_safe(q{SELECT pg_advisory_lock(4711)});
	sql(q{UPDATE t SET v = v + 1, g = g + 1 WHERE id <= 50});
	until_true(q{SELECT count(*) > 0 FROM pg_locks l JOIN cachekit_workers w ON w.pid = l.pid
		WHERE locktype = 'advisory' AND NOT granted}, "$how: the worker is in a batch");
	isnt(sql(q{SELECT * FROM denorm_verify('d')}), '', "$how: and has not finished");
	my $pid = worker();

	$node->append_conf('postgresql.auto.conf', "cachekit.debug_point = ''");
	if ($how eq 'kill')
	{
		kill 'KILL', $pid;
		$holder->{run}->kill_kill;
		ok(comes_back(), "$how: the server is back");
	}
	else
	{
		$holder->quit if $how eq 'fast';
		$holder->{run}->kill_kill if $how ne 'fast';
		$node->stop($how);
		$node->start;
	}
	until_true(q{SELECT count(*) = 0 FROM cachekit_denorm_queue},
		"$how: a worker comes by itself") if $preloaded;
	true_copy($how);
	$holder = $node->background_psql('postgres', on_error_stop => 1);
}
$holder->quit;

# A key that fails is set aside, others are not held up.
sql(q{
	CREATE TABLE parts (id int, whole int, part int);
	INSERT INTO parts VALUES (1, 10, 5), (2, 10, 2);
	SELECT denorm_create('shares', 'SELECT id, sum(whole / part) AS s FROM parts GROUP BY id', '{id}', 'async');
	INSERT INTO parts VALUES (1, 5, 0), (2, 10, 5), (3, 1, 1);
});
until_true(q{SELECT set_aside = 1 AND pending = 0 FROM cachekit_denorm WHERE target = 'shares'::regclass},
	'a poisoned key is set aside');
is(sql(q{SELECT last_error FROM cachekit_denorm WHERE target = 'shares'::regclass}),
	'division by zero', 'with its error');
is(sql(q{SELECT * FROM shares ORDER BY id}), "1|2\n2|7\n3|1", 'other keys are applied');
is(sql(q{SELECT denorm_wait('shares')}), 'f', 'a barrier can not be passed');
is(sql(q{SELECT denorm_wait('d')}), 't', 'but for other tables');
my ($ret, $out, $err) = $node->psql('postgres', q{SELECT denorm_refresh('shares')});
like($err, qr/division by zero/, 'a refresh fails, too');
is(sql(q{SELECT set_aside FROM cachekit_denorm WHERE target = 'shares'::regclass}), '1',
	'and keeps the key aside');
sql(q{DELETE FROM parts WHERE part = 0});
sql(q{SELECT denorm_refresh('shares')});
true_copy('after the repair');
is(sql(q{SELECT set_aside FROM cachekit_denorm WHERE target = 'shares'::regclass}), '0',
	'nothing is set aside any more');

# Several workers' worth of drains at once, in sessions.
set('cachekit.workers' => 0);
sql(q{UPDATE t SET v = v + 1 WHERE id % 3 = 0});
sql(q{INSERT INTO t SELECT i, i % 50, i FROM generate_series(1000, 1500) i});
my @drains = map { $node->background_psql('postgres', on_error_stop => 1) } 1 .. 4;
$_->query_safe(q{BEGIN; SELECT cachekit_denorm_drain()}) for @drains[0, 1];
$_->query_safe(q{COMMIT}) for @drains[0, 1];
$_->query_safe(q{SELECT denorm_wait()}) for @drains;
$_->quit for @drains;
true_copy('several at once');
set('cachekit.workers' => undef);

# Workers are not in the way of those who drop or copy their database.
set('cachekit.worker_idle_timeout' => '1min');
sql(q{CREATE DATABASE other});
$node->safe_psql('other', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int);
	SELECT denorm_create('d', 'SELECT id, count(*) AS n FROM t GROUP BY id', '{id}', 'async');
	INSERT INTO t VALUES (1);
	SELECT denorm_wait();
});
until_true(q{SELECT count(*) = 1 FROM cachekit_workers WHERE datname = 'other' AND pid IS NOT NULL},
	'a worker in another database');
is($node->psql('postgres', q{CREATE DATABASE copy TEMPLATE other}), 0, 'its database is copied');
$node->safe_psql('other', q{INSERT INTO t VALUES (2); SELECT denorm_wait()});
until_true(q{SELECT count(*) = 1 FROM cachekit_workers WHERE datname = 'other' AND pid IS NOT NULL},
	'a worker again');
is($node->psql('postgres', q{DROP DATABASE other}), 0, 'its database is dropped');
is($node->safe_psql('copy', q{INSERT INTO t VALUES (3); SELECT denorm_wait(), n FROM d LIMIT 1}),
	't|1', 'the copy works');
set('cachekit.worker_idle_timeout' => undef);

# Progress of a long refresh.
my $slow = $node->background_psql('postgres', on_error_stop => 1);
my $lock = $node->background_psql('postgres', on_error_stop => 1);
$lock->query_safe(q{SELECT pg_advisory_lock(4712)});
$slow->query_safe(q{SET cachekit.debug_point = 'denorm_comparing:4712'});
$slow->query_until(qr/started/, "\\echo started\nSELECT denorm_refresh('d');\n");
until_true(q{SELECT phase = 'refreshing' AND target = 'd'::regclass AND rows_done > 0
	FROM cachekit_progress}, 'a refresh shows its progress');
$lock->quit;
$slow->query_safe('SELECT 1');
is(sql(q{SELECT count(*) FROM cachekit_progress}), '0', 'and its end');

# And of a build, of a table that nobody else sees.
$lock = $node->background_psql('postgres', on_error_stop => 1);
$lock->query_safe(q{SELECT pg_advisory_lock(4712)});
$slow->query_safe(q{SET cachekit.debug_point = 'denorm_building:4712'});
$slow->query_until(qr/started/,
	"\\echo started\nSELECT denorm_create('built', 'SELECT id, g FROM t', '{id}');\n");
until_true(q{SELECT phase = 'building' AND rows_done > 0 FROM cachekit_progress},
	'a build shows its progress');
$lock->quit;
$slow->query_safe('SELECT 1');
is(sql(q{SELECT count(*) FROM cachekit_progress}), '0', 'and its end');
is(sql(q{SELECT count(*) FROM denorm_verify('built')}), '0', 'it is true');
sql(q{SELECT denorm_drop('built')});
$slow->quit;

# Dump and restore: definitions, triggers, and what is queued.
set('cachekit.workers' => 0);
sql(q{UPDATE t SET v = v + 1 WHERE g = 7;
	CREATE TABLE pk (id int PRIMARY KEY, name text);
	SELECT denorm_create('dpk', 'SELECT pk.id, pk.name, count(*) AS n FROM pk JOIN t ON t.g = pk.id GROUP BY pk.id', '{id}');
	INSERT INTO pk SELECT i, i FROM generate_series(1, 20) i});
$node->command_ok([ 'pg_dump', '-f', $node->basedir . '/dump.sql', $node->connstr('postgres') ], 'dump');
sql(q{CREATE DATABASE restored});
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $node->basedir . '/dump.sql',
	'-d', $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', q{SELECT target, mode, key, recomputed_by, pending > 0 FROM cachekit_denorm ORDER BY target::text}),
	$node->safe_psql('postgres', q{SELECT target, mode, key, recomputed_by, pending > 0 FROM cachekit_denorm ORDER BY target::text}),
	'definitions and queue are restored');
$node->safe_psql('restored', q{UPDATE t SET v = v + 1, g = 8 WHERE g = 9; UPDATE pk SET name = 'x' WHERE id < 5});
is($node->safe_psql('restored', q{SELECT count(*) FROM denorm_verify('dpk')}), '0', 'immediate, restored');
is($node->safe_psql('restored', q{SELECT denorm_wait()}), 't', 'async, restored: applied');
is($node->safe_psql('restored', q{SELECT count(*) FROM denorm_verify('d')}), '0', 'async, restored: true');

# A standby has no workers.
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|reference leak|buffer leak/, 'log');
sound($node, 'at the end');
$node->stop;
done_testing();
