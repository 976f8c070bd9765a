# The two memory modes, their sizes, and what happens when memory cannot be
# had: less of it, or none and a warning, but never an error or a stale row.
# Both modes are tested at once, whatever CACHEKIT_MODE says: only: preload

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $q = 'SELECT id, v FROM t ORDER BY id';
my $tables = q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	INSERT INTO t VALUES (1, 1), (2, 2);
	SELECT cache_track('t');
};

# conf(MODE, MORE): a server in that mode, started
sub server
{
	my ($name, $mode, $conf) = @_;
	local $ENV{CACHEKIT_MODE} = $mode;
	my $node = new_node($name, $conf);

	$node->start;
	$node->safe_psql('postgres', $tables);
	return $node;
}

sub works
{
	my ($node, $label) = @_;

	$node->safe_psql('postgres', 'UPDATE t SET v = v + 1 WHERE id = 1');
	answer_is($node, $q, undef, "$label: answered");
	is_hit($node, $node, $q, undef, $label);
	is($node->safe_psql('postgres', q{SELECT cache_set('k', 'v')}), 't', "$label: set");
	is($node->safe_psql('postgres', q{SELECT cache_get('k')}), 'v', "$label: get");
	sound($node, $label);
}

# Preloaded: the memory is there from the start, of the size asked for.
my $node = server('preloaded', 'preload', "cachekit.memory = '8MB'\n");
works($node, 'preloaded');
is(counters($node)->{bytes_total} <= 8 * 1024 * 1024
	  && counters($node)->{bytes_total} > 6 * 1024 * 1024, 1, 'preloaded: size');
my ($ret, $out, $err) = $node->psql('postgres', q{SET cachekit.memory = '16MB'});
like($err, qr/cannot be changed/, 'preloaded: the size is fixed');
is($node->safe_psql('postgres', q{SELECT cache_get('k')}), 'v', 'seen by other sessions');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', $tables);
is($node->safe_psql('other', q{SELECT cache_get('k') IS NULL}), 't', 'not by other databases');
$node->restart;
is($node->safe_psql('postgres', q{SELECT cache_get('k') IS NULL}), 't', 'gone with a restart');
works($node, 'preloaded, restarted');
$node->stop;

# On demand: the first who uses it makes it; its setting can be reloaded until
# then.
$node = server('ondemand', 'ondemand', "cachekit.memory = '4MB'\n");
works($node, 'on demand');
is($node->safe_psql('postgres', q{SELECT bytes_total <= 4 * 1024 * 1024 FROM cachekit_stats}),
	't', 'on demand: size');
$node->append_conf('postgresql.conf', "cachekit.memory = '16MB'");
$node->reload;
works($node, 'on demand, setting changed');
is($node->safe_psql('postgres', q{SELECT bytes_total <= 4 * 1024 * 1024 FROM cachekit_stats}),
	't', 'the memory in use stays');
$node->restart;
works($node, 'on demand, restarted');
is($node->safe_psql('postgres', q{SELECT bytes_total > 12 * 1024 * 1024 FROM cachekit_stats}),
	't', 'then it has the new size');

# Not enough memory: backends may map 800 MB in all, /dev/shm may be small.
$node->append_conf('postgresql.conf', "cachekit.memory = '900MB'");
$node->stop;
command_ok(
	[
		'sh', '-c', 'ulimit -v 800000 && exec pg_ctl -D "$0" -l "$1" -w start',
		$node->data_dir, $node->logfile
	],
	'started with little memory');
$node->_update_pid(1);
works($node, 'little memory');
cmp_ok(counters($node)->{bytes_total}, '<', 800 * 1024 * 1024, 'less than asked for');
cmp_ok(counters($node)->{bytes_total}, '>', 0, 'but some');
$node->stop;

# No memory at all for those who come while the directory is locked.
$node->append_conf('postgresql.conf',
	"dynamic_shared_memory_type = mmap\ncachekit.memory = '4MB'");
$node->start;
my $directory = $node->data_dir . '/pg_dynshmem';

# Sessions that are connected before; each is used once.
my @pool = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 6;

# session(SQL...): output and messages of such a session
sub session
{
	my $session = shift @pool;
	my $all = join("\n", map { scalar $session->query($_) } @_);
	my $messages = $session->{stderr};

	unlike($messages, qr/ERROR|FATAL/, 'no error');
	$session->quit;
	return ($all, $messages);
}

chmod(0, $directory) or die "$directory: $!";
SKIP:
{
	skip 'permissions do not bind this user', 1 if opendir(my $d, $directory);
	my $asked = compared($q);

	($out, $err) = session($asked, $asked, 'UPDATE t SET v = 100 WHERE id = 1', $asked);
	like($out, qr/^(.*)\|\1\n(.*)\|\2\n\n?(.*"v": 100.*)\|\3$/, 'no memory: answered');
	is(scalar(() = $err =~ /WARNING:  cachekit could not get shared memory/g), 1, 'one warning');
	($out, $err) = session(q{SELECT cache_set('k', 'v'), cache_get('k') IS NULL});
	is($out, 'f|t', 'no memory: nothing is stored');

	# Somebody has the memory, a writer who comes later cannot map it.
	chmod(0700, $directory);
	my $reader = $node->background_psql('postgres', on_error_stop => 1);
	my $old = $node->background_psql('postgres', on_error_stop => 1);
	answer_is($reader, $q, undef, 'with memory') for 1 .. 3;
	$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	answer_is($old, $q, undef, 'old snapshot');
	chmod(0, $directory);
	($out, $err) = session('UPDATE t SET v = 200 WHERE id = 1');
	like($err, qr/could not get shared memory/, 'a writer without memory');
	answer_is($reader, $q, '[{"v": 200, "id": 1}, {"v": 2, "id": 2}]', 'its write is seen') for 1 .. 3;
	answer_is($old, $q, '[{"v": 100, "id": 1}, {"v": 2, "id": 2}]', 'but not by the old snapshot');
	session('BEGIN', 'UPDATE t SET v = 300 WHERE id = 1', q{PREPARE TRANSACTION 'p'});
	answer_is($reader, $q, '[{"v": 200, "id": 1}, {"v": 2, "id": 2}]', 'it prepares') for 1 .. 3;
	session(q{COMMIT PREPARED 'p'});
	answer_is($reader, $q, '[{"v": 300, "id": 1}, {"v": 2, "id": 2}]', 'and commits') for 1 .. 3;
	session('BEGIN', 'UPDATE t SET v = 400 WHERE id = 1', 'ROLLBACK');
	answer_is($reader, $q, '[{"v": 300, "id": 1}, {"v": 2, "id": 2}]', 'one that rolls back');
	$old->query_safe('COMMIT');
	chmod(0700, $directory);
	take_xid($node);
	answer_is($reader, $q, undef, 'once more');
	is_hit($node, $reader, $q, '[{"v": 300, "id": 1}, {"v": 2, "id": 2}]', 'with memory again');
	$_->quit for $reader, $old;
}
chmod(0700, $directory);
works($node, 'after all');
$node->stop;

done_testing();
