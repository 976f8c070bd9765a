# When workers come, and when they go: no change is left behind by one that
# goes, and none is in the way of who needs its database for himself.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $node = new_node('workers', "cachekit.worker_idle_timeout = 1s\n");

$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub until_true
{
	my ($query, $label) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until('postgres', $query), $label);
}

sub set
{
	my ($name, $value) = @_;

	$node->safe_psql('postgres', "LOAD 'cachekit';\nALTER SYSTEM SET $name = '$value'");
	$node->reload;
	return;
}

my $gone = q{SELECT NOT EXISTS (SELECT FROM cachekit_workers)};
my $done = q{SELECT NOT EXISTS (SELECT FROM cachekit_denorm_queue)};

sql(q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, g int, at timestamptz);
	INSERT INTO t SELECT i, i % 10 FROM generate_series(1, 100) i;
	SELECT denorm_create('d', 'SELECT g, count(*) AS n FROM t GROUP BY g', '{g}', 'async');
	SELECT denorm_create('e', 'SELECT at, count(*) AS n FROM t GROUP BY at', '{at}', 'async');
});

# A change is committed when the worker has looked for the last time.
SKIP:
{
	skip 'needs debug points', 2 unless sql(q{LOAD 'cachekit';
		SELECT count(*) FROM pg_settings WHERE name = 'cachekit.debug_point'});
	my $gate = $node->background_psql('postgres', on_error_stop => 1);

	$gate->query_safe('SELECT pg_advisory_lock(4711)');
	set('cachekit.debug_point', 'worker_retiring:4711');
	sql(q{UPDATE t SET g = 1 WHERE id = 2});
	until_true(q{SELECT count(*) > 0 FROM pg_locks l JOIN cachekit_workers w ON w.pid = l.pid
		WHERE locktype = 'advisory' AND NOT granted}, 'a worker is about to leave');
	sql(q{UPDATE t SET g = 1 WHERE id = 3});
	set('cachekit.debug_point', '');
	$gate->quit;
	until_true($done, 'what came then is not left behind');
}

# Rows of the queue that COMMIT PREPARED makes visible, when all have gone.
sql(q{BEGIN; UPDATE t SET g = 4 WHERE id = 5; PREPARE TRANSACTION 'p'});
until_true($gone, 'the workers have gone');
sql(q{COMMIT PREPARED 'p'});
until_true($done, 'COMMIT PREPARED calls one')
  if ($ENV{CACHEKIT_MODE} // 'preload') eq 'preload';
sql(q{SELECT denorm_wait()});
is(sql(q{SELECT * FROM denorm_verify('d')}), '', 'the target is true');

# There, and only there: without a queue no worker is started for it.
$node->safe_psql('postgres', 'CREATE DATABASE quiet');
is( $node->safe_psql('quiet', q{
	CREATE EXTENSION cachekit;
	BEGIN;
	CREATE TABLE t (id int);
	PREPARE TRANSACTION 'q';
	COMMIT PREPARED 'q';
	SELECT count(*) FROM cachekit_workers WHERE datname = 'quiet'}),
	'0', 'COMMIT PREPARED calls none without a queue');

# Keys whose text depends on settings are queued under those of the definition.
sql(q{SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo';
	UPDATE t SET at = '2024-05-06 07:08:09.123456+00' WHERE id < 4});
is(sql(q{SELECT denorm_wait('e')}), 't', 'keys with settings of their own');
is(sql(q{SELECT * FROM denorm_verify('e')}), '', 'are computed');

# In the middle of a long statement a worker leaves for who drops, copies or
# moves its database.
sql('CREATE DATABASE other');
$node->safe_psql('other', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int);
	CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
		AS 'BEGIN PERFORM pg_sleep(120); RETURN $1; END';
	SELECT denorm_create('d', 'SELECT id, public.slow(id) AS s FROM t', '{id}', 'async');
});
my $n = 0;
for my $command ('CREATE DATABASE copy TEMPLATE other', 'ALTER DATABASE other RENAME TO another',
	'DROP DATABASE another')
{
	my $name = $command =~ /another$/ && $command =~ /^DROP/ ? 'another' : 'other';

	$node->safe_psql($name, 'INSERT INTO t VALUES (' . ++$n . ')');
	until_true("SELECT count(*) = 1 FROM cachekit_workers w JOIN pg_stat_activity a USING (pid)
		WHERE a.datname = '$name' AND a.wait_event = 'PgSleep'", 'a worker is busy');
	is($node->psql('postgres', $command), 0, $command);
}
$node->safe_psql('copy', 'TRUNCATE t');
is($node->safe_psql('copy', q{SELECT denorm_wait()}), 't', 'the copy works');

unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|terminated by signal/, 'log');
sound($node, 'at the end');
$node->stop;
done_testing();
