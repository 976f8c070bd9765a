# The apply worker of a subscription fires no statement triggers: the rows it
# changes must invalidate all the same, whether the table was tracked before
# or after the subscription was made, with initial synchronisation, TRUNCATE,
# and partitioned targets.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my ($from, $to) = new_publication();

my $tables = q{
	CREATE TABLE before_it (id int PRIMARY KEY, v int);
	CREATE TABLE after_it (id int PRIMARY KEY, v int);
	CREATE TABLE added (id int PRIMARY KEY, v int);
	CREATE TABLE part (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
	CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);
	CREATE TABLE child_of (id int PRIMARY KEY, v int);
};
$from->safe_psql('postgres', $tables);
$to->safe_psql('postgres', "CREATE EXTENSION cachekit; $tables"
	  . 'CREATE TABLE parent_of (id int, v int);'
	  . 'ALTER TABLE child_of ALTER v DROP NOT NULL, INHERIT parent_of');
$from->safe_psql('postgres', q{
	INSERT INTO before_it VALUES (1, 1);
	INSERT INTO after_it VALUES (1, 1);
	INSERT INTO added VALUES (1, 1);
	INSERT INTO part VALUES (1, 1), (101, 1);
	INSERT INTO child_of VALUES (1, 1);
	CREATE PUBLICATION pub FOR TABLE before_it, after_it, part, child_of
		WITH (publish_via_partition_root = true);
});

my %query = (
	before_it => 'SELECT id, v FROM before_it ORDER BY id',
	after_it => 'SELECT id, v FROM after_it ORDER BY id',
	added => 'SELECT id, v FROM added ORDER BY id',
	part => 'SELECT id, v FROM part ORDER BY id',
	part_2 => 'SELECT id, v FROM part_2 ORDER BY id',
	parent_of => 'SELECT id, v FROM parent_of ORDER BY id',
	key_1 => 'SELECT id, v FROM after_it WHERE id = 1',
	key_2 => 'SELECT id, v FROM after_it WHERE id = 2');

# expect(TABLE, LABEL, [ID, V]...): what the subscriber must answer, twice
sub expect
{
	my ($table, $label, @rows) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $json = '[' . join(', ', map { "{\"v\": $_->[1], \"id\": $_->[0]}" } @rows) . ']';

	answer_is($to, $query{$table}, $json, "$table: $label");
	answer_is($to, $query{$table}, $json, "$table: $label, again");
}

# change(SQL): on the publisher, until the subscriber has applied it
sub change
{
	$from->safe_psql('postgres', $_[0]);
	$from->wait_for_catchup('sub');
}

$to->safe_psql('postgres',
	"SELECT cache_track(t) FROM unnest('{before_it, part, parent_of}'::regclass[]) t");
expect($_, 'empty') for qw(before_it part part_2 parent_of);

my $connection = $from->connstr . ' dbname=postgres';
$to->safe_psql('postgres',
	"CREATE SUBSCRIPTION sub CONNECTION '$connection' PUBLICATION pub");
$to->wait_for_subscription_sync($from, 'sub');
$to->safe_psql('postgres', q{SELECT cache_track('after_it'), cache_track('added')});
is($to->safe_psql('postgres',
		'SELECT string_agg(tbl::text, \',\' ORDER BY tbl::text) FROM cachekit_tracked_tables WHERE NOT tracked'),
	'', 'all tables are tracked');

expect('before_it', 'synchronised', [ 1, 1 ]);
expect('after_it', 'synchronised', [ 1, 1 ]);
expect('part', 'synchronised', [ 1, 1 ], [ 101, 1 ]);
expect('part_2', 'synchronised', [ 101, 1 ]);
expect('parent_of', 'synchronised', [ 1, 1 ]);
is_hit($to, $to, $query{$_}, undef, $_) for qw(before_it after_it part part_2 parent_of);

for my $table (qw(before_it after_it))
{
	change("INSERT INTO $table VALUES (2, 2)");
	expect($table, 'insert', [ 1, 1 ], [ 2, 2 ]);
	change("UPDATE $table SET v = v + 10");
	expect($table, 'update', [ 1, 11 ], [ 2, 12 ]);
	change("DELETE FROM $table WHERE id = 1");
	expect($table, 'delete', [ 2, 12 ]);
	is_hit($to, $to, $query{$table}, undef, "$table: still cached");
	change("TRUNCATE $table");
	expect($table, 'truncate');
	change("INSERT INTO $table VALUES (1, 1)");
	expect($table, 'insert after truncate', [ 1, 1 ]);
}

# Keys: the worker fires their row trigger, too.
$to->safe_psql('postgres', q{SELECT cache_track('after_it', 'id')});
change('INSERT INTO after_it VALUES (2, 2)');
expect('key_1', 'key', [ 1, 1 ]);
expect('key_2', 'key', [ 2, 2 ]);
change('UPDATE after_it SET v = 7 WHERE id = 1');
is_hit($to, $to, $query{key_2}, undef, 'key_2: of another row');
expect('key_1', 'update of its row', [ 1, 7 ]);
change('UPDATE after_it SET id = 3 WHERE id = 2');
is_hit($to, $to, $query{key_1}, undef, 'key_1: of another row');
expect('key_2', 'moved to another key');
change('TRUNCATE after_it');
expect('key_1', 'truncate');

change('UPDATE child_of SET v = 2');
expect('parent_of', 'update of a child', [ 1, 2 ]);

change('UPDATE part SET v = 5 WHERE id = 101');
expect('part', 'update', [ 1, 1 ], [ 101, 5 ]);
expect('part_2', 'update', [ 101, 5 ]);
change('UPDATE part SET id = 102 WHERE id = 1');
expect('part', 'moved', [ 101, 5 ], [ 102, 1 ]);
expect('part_2', 'moved', [ 101, 5 ], [ 102, 1 ]);
$to->safe_psql('postgres', 'CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (200) TO (300)');
$from->safe_psql('postgres', 'CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (200) TO (300)');
change('INSERT INTO part VALUES (201, 1)');
expect('part', 'new partition', [ 101, 5 ], [ 102, 1 ], [ 201, 1 ]);
change('UPDATE part SET v = 9 WHERE id = 201');
expect('part', 'update in it', [ 101, 5 ], [ 102, 1 ], [ 201, 9 ]);
change('TRUNCATE part');
expect($_, 'truncate') for qw(part part_2);

# Tracked and cached before the subscription comes to write to it.
expect('added', 'empty');
is_hit($to, $to, $query{added}, '[]', 'added: empty');
$from->safe_psql('postgres', 'ALTER PUBLICATION pub ADD TABLE added');
$to->safe_psql('postgres', 'ALTER SUBSCRIPTION sub REFRESH PUBLICATION');
$to->wait_for_subscription_sync($from, 'sub');
expect('added', 'synchronised', [ 1, 1 ]);
change('UPDATE added SET v = 2');
expect('added', 'update', [ 1, 2 ]);
is_hit($to, $to, $query{added}, undef, 'added: at the end');

# A snapshot from before a change was applied keeps its answer.
my $old = $to->background_psql('postgres', on_error_stop => 1);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
answer_is($old, $query{added}, '[{"v": 2, "id": 1}]', 'old snapshot');
change('UPDATE added SET v = 3');
expect('added', 'update', [ 1, 3 ]);
answer_is($old, $query{added}, '[{"v": 2, "id": 1}]', 'old snapshot, later');
$old->query_safe('COMMIT');
$old->quit;

# A subscription that goes leaves a table that is still tracked.
$to->safe_psql('postgres', 'DROP SUBSCRIPTION sub');
expect('added', 'without subscription', [ 1, 3 ]);
$to->safe_psql('postgres', 'UPDATE added SET v = 4');
expect('added', 'written here', [ 1, 4 ]);

sound($to, 'subscriber');
$to->stop;
$from->stop;
done_testing();
