# On a hot standby every answer comes from the tables, keys and values work,
# and after promotion it caches like any other server.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my $primary = new_node('primary', "hot_standby_feedback = on\n", allows_streaming => 1);
my $q = 'SELECT id, v FROM t ORDER BY id';	# in the mode of CACHEKIT_MODE

$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION cachekit;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	CREATE TABLE untracked (id int);
	INSERT INTO t VALUES (1, 1), (2, 2);
	SELECT cache_track('t');
});
$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->start;

sub catch_up { $primary->wait_for_catchup($standby, 'replay'); }

sub bypasses
{
	my ($reason) = @_;

	return $standby->safe_psql('postgres',
		"SELECT coalesce(sum(count), 0) FROM cachekit_bypasses WHERE reason = '$reason'");
}

# Reads on the standby follow the primary.
catch_up();
answer_is($primary, $q, undef, 'primary') for 1 .. 2;
answer_is($standby, $q, '[{"v": 1, "id": 1}, {"v": 2, "id": 2}]', 'standby') for 1 .. 2;
$primary->safe_psql('postgres', 'UPDATE t SET v = 10 WHERE id = 1');
catch_up();
answer_is($standby, $q, '[{"v": 10, "id": 1}, {"v": 2, "id": 2}]', 'standby follows');
is(bypasses('recovery'), 3, 'each of these went past the cache');
is($standby->safe_psql('postgres', "SELECT * FROM cached_query('$q') AS (id int, v int)"),
	"1|10\n2|2", 'as rows');
is($standby->safe_psql('postgres', "SELECT state FROM cache_explain('$q')"), 'bypass', 'explained')
  or diag($standby->safe_psql('postgres', "SELECT * FROM cache_explain('$q')"));

# Key/value entries need no transaction id.
is($standby->safe_psql('postgres', q{SELECT cache_set('k', 'v', '1 hour', '{a}')}), 't', 'set');
is($standby->safe_psql('postgres', q{SELECT cache_get('k')}), 'v', 'get');
is($standby->safe_psql('postgres', q{SELECT cache_incr('n', 2, 40)}), 40, 'incr, first');
is($standby->safe_psql('postgres', q{SELECT cache_incr('n', 2)}), 42, 'incr');
is($standby->safe_psql('postgres', q{BEGIN; SELECT cache_set('k', 'w'); ROLLBACK; SELECT cache_get('k')}),
	"t\nv", 'rolled back');
is($standby->safe_psql('postgres', q{BEGIN; SELECT cache_set('k', 'w'); COMMIT; SELECT cache_get('k')}),
	"t\nw", 'committed');
is($standby->safe_psql('postgres', q{SELECT cache_get_or_set('sum', 'SELECT sum(v) FROM t', '1 hour')}),
	12, 'get or set');
is($standby->safe_psql('postgres', q{SELECT cache_delete('k')}), 't', 'delete');
my ($ret, $out, $err) = $standby->psql('postgres', q{SELECT cache_invalidate_table('t')});
is($ret, 0, 'nothing to invalidate') or diag($err);
($ret, $out, $err) = $standby->psql('postgres', q{SELECT cache_set('tagged', 'v', NULL, '{a}'); SELECT cache_invalidate_tag('a')});
is($ret, 0, 'invalidate a tag') or diag($err);
is($standby->safe_psql('postgres', q{SELECT cache_get('tagged') IS NULL}), 't', 'the tagged entry is gone');
($ret, $out, $err) = $standby->psql('postgres', q{SELECT cache_track('untracked')});
like($err, qr/cannot execute .* read-only transaction|recovery/, 'tables cannot be tracked here');
is($standby->safe_psql('postgres', 'SELECT cache_flush() >= 0, cache_clear() >= 0'), 't|t', 'emptied');
sound($standby, 'standby');

# Promotion: with a prepared transaction, a snapshot from before, and a
# transaction of the old primary that never ended.
$primary->safe_psql('postgres', q{BEGIN; UPDATE t SET v = 20 WHERE id = 2; PREPARE TRANSACTION 'p'});
my $open = $primary->background_psql('postgres');
$open->query_safe('BEGIN; UPDATE t SET v = 11 WHERE id = 1');
$primary->safe_psql('postgres', 'CHECKPOINT');
catch_up();
my $old = $standby->background_psql('postgres', on_error_stop => 1);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
answer_is($old, $q, '[{"v": 10, "id": 1}, {"v": 2, "id": 2}]', 'snapshot of the standby');
$primary->stop('immediate');
eval { $open->quit };
$standby->promote;

answer_is($standby, $q, '[{"v": 10, "id": 1}, {"v": 2, "id": 2}]', 'promoted') for 1 .. 3;
$standby->safe_psql('postgres', 'UPDATE t SET v = 100 WHERE id = 1');
answer_is($standby, $q, '[{"v": 100, "id": 1}, {"v": 2, "id": 2}]', 'written') for 1 .. 2;
is_hit($standby, $standby, $q, undef, 'written');
answer_is($old, $q, '[{"v": 10, "id": 1}, {"v": 2, "id": 2}]', 'the old snapshot');
my $young = $standby->background_psql('postgres', on_error_stop => 1);
$young->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
answer_is($young, $q, '[{"v": 100, "id": 1}, {"v": 2, "id": 2}]', 'snapshot after promotion');
$standby->safe_psql('postgres', q{COMMIT PREPARED 'p'});
answer_is($standby, $q, '[{"v": 100, "id": 1}, {"v": 20, "id": 2}]', 'prepared before, committed') for 1 .. 2;
answer_is($young, $q, '[{"v": 100, "id": 1}, {"v": 2, "id": 2}]', 'not seen by the younger snapshot');
answer_is($old, $q, '[{"v": 10, "id": 1}, {"v": 2, "id": 2}]', 'nor by the old one');
$_->query_safe('COMMIT') && $_->quit for $old, $young;
take_xid($standby);
answer_is($standby, $q, undef, 'filled');
is_hit($standby, $standby, $q, '[{"v": 100, "id": 1}, {"v": 20, "id": 2}]', 'cached');
sound($standby, 'promoted');

$standby->stop;
done_testing();
