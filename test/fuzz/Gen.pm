# Gen.pm
#   Random schemas, queries and writes.  Everything comes from rand(), so a
#   seed gives the same again.

package Gen;
use strict;
use warnings;

our @tables;                    # {name, parts => [...]}
our @views;

sub pick   { return $_[ int(rand(@_)) ]; }
sub chance { return rand(100) < $_[0]; }
sub num    { return int(rand($_[0])); }

# Values of each column: few, so that rows meet.
sub value {
  my ($c) = @_;
  return 'NULL' if $c ne 'id' && $c ne 'g' && chance(10);
  return 1 + num(30) if $c eq 'id';
  return num(5) if $c eq 'k' || $c eq 'g';
  return num(10) if $c eq 'v';
  return "'s" . num(4) . "'" if $c eq 's';
  return pick('0', '1', '1.0', '1.00', '2.5');
}

my @columns = qw(id k g v s n);
my @ints = qw(id k g v);

# ---------------- schema ----------------

sub row { return '(' . join(', ', map { value($_) } @columns) . ')'; }

sub keys_of_table {
  my @keys;
  push @keys, 'k' if chance(70);
  push @keys, 'id' if chance(50);
  push @keys, 'g' if chance(30);
  push @keys, pick('s', 'n') if chance(30);
  push @keys, pick('k,g', 'g,k', 'id,k') if chance(30);
  return @keys;
}

sub track {
  my ($table, $key) = @_;
  return "SELECT cache_track('$table'" .
    join('', map { ", '$_'" } split(/,/, $key)) . ')';
}

sub untrack {
  my ($table, $key) = @_;
  return "SELECT cache_untrack('$table'" .
    join('', map { ", '$_'" } split(/,/, $key)) . ')';
}

# SQL that makes the schema of a seed, one statement each.
sub schema {
  my @sql = ('DROP SCHEMA IF EXISTS f CASCADE', 'CREATE SCHEMA f');
  my $def = 'id int, k int, g int NOT NULL, v int, s text, n numeric';

  @tables = ({ name => 't1', parts => [] }, { name => 't2', parts => [] },
    { name => 't3', parts => [qw(t3a t3b t3c)] });
  push @sql, "CREATE TABLE t1 ($def" . pick('', ', PRIMARY KEY (id)', ', UNIQUE (id, k)') . ')';
  push @sql, "CREATE TABLE t2 ($def, PRIMARY KEY (id))";
  push @sql, "CREATE TABLE t3 ($def, PRIMARY KEY (id, g)) PARTITION BY LIST (g)",
    'CREATE TABLE t3a PARTITION OF t3 FOR VALUES IN (0, 1)',
    'CREATE TABLE t3b (n numeric, s text, v int, g int NOT NULL, k int, id int NOT NULL)',
    'ALTER TABLE t3 ATTACH PARTITION t3b FOR VALUES IN (2, 3)',
    'CREATE TABLE t3c PARTITION OF t3 DEFAULT';
  if (chance(30)) {
    push @tables, { name => 't4', parts => ['t4c'] };
    push @sql, "CREATE TABLE t4 ($def)", 'CREATE TABLE t4c () INHERITS (t4)';
  }
  for my $t (@tables) {
    push @sql, "INSERT INTO $t->{name} VALUES " . join(', ', map { row() } 1 .. 20) .
      ' ON CONFLICT DO NOTHING';
    push @sql, "CREATE INDEX ON $t->{name} (" . pick('k', 'g', 's', 'k, g', 'v') . ')' if chance(60);
    push @sql, "SELECT cache_track('$t->{name}')";
    push @sql, map { track($t->{name}, $_) } keys_of_table() if $t->{name} ne 't4';
  }
  if (chance(25)) {
    push @sql, 'CREATE FUNCTION f.shift() RETURNS trigger LANGUAGE plpgsql AS ' .
      '$f$ BEGIN IF NEW.v = 7 THEN NEW.k := (coalesce(NEW.k, 0) + 1) % 5; END IF; RETURN NEW; END $f$',
      'CREATE TRIGGER ' . pick('aaa', 'zzz') . ' BEFORE INSERT OR UPDATE ON t2 ' .
      'FOR EACH ROW EXECUTE FUNCTION f.shift()';
  }
  @views = qw(v1 v2);
  push @sql, 'CREATE VIEW v1 AS SELECT k, g, count(*)::int AS v, max(id) AS id FROM t1 GROUP BY k, g',
    'CREATE VIEW v2 AS SELECT a.id, a.k, b.g, b.v FROM t1 a LEFT JOIN ' .
    pick('t2', 't3') . ' b ON b.' . pick('id', 'k') . ' = a.' . pick('id', 'k');
  push @sql, 'ANALYZE t1, t2, t3' if chance(50);
  return @sql;
}

# ---------------- queries ----------------

my ($args, $aliases);           # of the query that is being made

sub alias { return 'a' . ++$$aliases; }

# A parameter, as ($n) in the query; types are inferred.
sub param {
  my ($v) = @_;
  return $v if @$args >= 8;
  push @$args, $v;
  return '@' . scalar(@$args) . '@';
}

sub const {
  my ($c) = @_;
  my $v = value($c);
  return $v if $c eq 's' || $c eq 'n';
  return param($v) if chance(30);
  return $v if chance(85);
  return $v . pick('::bigint', '::smallint', '::numeric');
}

# An integer column of one of the relations in scope, with its alias.
sub column {
  my ($scope) = @_;
  return pick(@$scope) . '.' . pick(@ints);
}

sub subquery_table { return pick(map { $_->{name} } @tables); }

sub condition {
  my ($scope, $depth) = @_;
  my $a = pick(@$scope);
  my $c = pick('k', 'k', 'k', 'id', 'id', 'g', 'v');
  my $kind = num(100);

  return "$a.$c = " . const($c) if $kind < 36;
  return const($c) . " = $a.$c" if $kind < 40;
  return "$a.$c IN (" . join(', ', map { value($c) } 0 .. num(3)) . ')' if $kind < 46;
  return "$a.$c = ANY ('{" . join(',', map { value($c) } 0 .. num(3)) . "}'::int[])" if $kind < 50;
  return "$a.k = " . num(5) . " AND $a.g = " . num(5) if $kind < 56;
  return "$a.$c " . pick('<', '>', '<=', '<>') . ' ' . value($c) if $kind < 61;
  return "$a.$c IS " . pick('', 'NOT ') . 'NULL' if $kind < 64;
  return '(' . condition($scope, $depth - 1) . ' OR ' . condition($scope, $depth - 1) . ')'
    if $kind < 68 && $depth > 0;
  return 'NOT (' . condition($scope, $depth - 1) . ')' if $kind < 70 && $depth > 0;
  return "$a.$c = " . column($scope) if $kind < 76;
  if ($kind < 92 && $depth > 0) {
    my $b = alias();
    my $t = subquery_table();
    my $where = condition([ $b, @$scope ], $depth - 1);

    return pick('', 'NOT ') . "EXISTS (SELECT 1 FROM $t $b WHERE $b." . pick(@ints) .
      ' = ' . column($scope) . " AND $where)" if $kind < 81;
    return pick('', 'NOT ') . "EXISTS (SELECT 1 FROM $t $b WHERE $where)" if $kind < 84;
    return "$a.$c " . pick('IN', 'IN', 'NOT IN') . " (SELECT $b.$c FROM $t $b WHERE " .
      condition([$b], $depth - 1) . ')' if $kind < 89;
    return "$a.$c = (SELECT " . pick('max', 'min', 'count') . "($b.$c) FROM $t $b WHERE $where)";
  }
  return "$a.$c IS NOT DISTINCT FROM " . value($c) if $kind < 94;
  return "($a.k, $a.g) = (" . num(5) . ', ' . num(5) . ')' if $kind < 96;
  return "($a.k, $a.g) IN ((1, 1), (2, " . num(5) . '))' if $kind < 98;
  return "$a.$c + 0 = " . value($c);
}

# Something in FROM; its columns are all of @ints, whatever it is.
sub item {
  my ($depth, $with) = @_;
  my $a = alias();
  my $t = pick(@tables);

  return ($a, pick(@$with) . " $a") if @$with && chance(50);
  return ($a, pick(@views) . " $a") if chance(12);
  if ($depth > 0 && chance(15)) {
    return ($a, '(' . select_ints($depth - 1) . ") $a");
  }
  return ($a, pick(@{ $t->{parts} }) . " $a") if @{ $t->{parts} } && chance(15);
  return ($a, $t->{name} . " $a");
}

sub from {
  my ($depth, $with) = @_;
  my ($a, $sql) = item($depth, $with);
  my @scope = ($a);

  for (1 .. pick(0, 0, 0, 1, 1, 2)) {
    my ($b, $right) = item($depth, $with);
    my $join = pick('JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN');
    my $c = pick('k', 'k', 'id', 'g');
    my $on = "$b.$c = " . pick(@scope) . '.' . pick($c, pick(@ints));

    if ($join ne 'FULL JOIN') {
      $on .= ' AND ' . condition([ $b, @scope ], 0) if chance(40);
      $on = condition([$b], 0) if chance(8);
    }
    $sql = "($sql $join $right ON $on)";
    push @scope, $b;
  }
  return ($sql, @scope);
}

sub where {
  my ($depth, @scope) = @_;
  my @conds = map { condition(\@scope, $depth) } 1 .. pick(0, 1, 1, 1, 2, 2, 3);

  return @conds ? ' WHERE ' . join(' AND ', @conds) : '';
}

# A query with the columns of @ints, to stand for a table.
sub select_ints {
  my ($depth) = @_;
  my ($from, @scope) = from($depth, []);
  my $where = where($depth, @scope);
  my $a = pick(@scope);

  return "SELECT " . join(', ', map { "$a.$_" } @ints) . " FROM $from$where" if chance(60);
  return "SELECT max($a.id) AS id, $a.k, $a.g, count(*)::int AS v FROM $from$where GROUP BY $a.k, $a.g";
}

# The rows of a key, of one table or two.
sub keyed {
  my ($ncols) = @_;
  my ($a, $b) = (alias(), alias());
  my $t = pick(qw(t1 t2 t3));
  my $c = pick('k', 'k', 'id', 'g', 's', 'n');
  my $n = 0;
  my $where = "$a.$c " . (chance(80) ? '= ' . const($c) :
    'IN (' . join(', ', map { value($c) } 0 .. num(3)) . ')');
  my @scope = ($a);
  my $from = "$t $a";

  if (chance(30)) {
    $from .= pick(' JOIN ', ' LEFT JOIN ') . pick(qw(t1 t2 t3)) . " $b ON $b.$c = $a.$c";
    push @scope, $b;
  }
  return 'SELECT ' . join(', ', map { "count($_)::int AS c" . ++$n } map { column(\@scope) } 1 .. $ncols) .
    " FROM $from WHERE $where" if chance(30);
  return 'SELECT ' . join(', ', map { "$_ AS c" . ++$n } map { column(\@scope) } 1 .. $ncols) .
    " FROM $from WHERE $where";
}

sub core {
  my ($depth, $ncols, $with) = @_;

  return keyed($ncols) if !@$with && chance(35);
  my ($from, @scope) = from($depth, $with);
  my $where = where($depth, @scope);
  my @cols = map { column(\@scope) } 1 .. $ncols;
  my $n = 0;
  my $kind = num(100);
  my $c = column(\@scope);

  return 'SELECT ' . (chance(15) ? 'DISTINCT ' : '') .
    join(', ', map { "$_ AS c" . ++$n } @cols) . " FROM $from$where" if $kind < 55;
  if ($kind < 75) {
    my $first = shift @cols;
    my $having = chance(20) ? ' HAVING count(*) > 1' : '';

    return "SELECT $first AS c1" .
      join('', map { ', ' . pick('count', 'max', 'min', 'sum') . "($_)::int AS c" . (++$n + 1) } @cols) .
      " FROM $from$where GROUP BY $first$having";
  }
  return 'SELECT ' . join(', ', map { pick('count', 'max', 'min', 'sum') . "($_)::int AS c" . ++$n } @cols) .
    " FROM $from$where" if $kind < 87;
  return 'SELECT ' . join(', ', map {
      pick('count', 'sum', 'max') . "($_) OVER (PARTITION BY $c)::int AS c" . ++$n } @cols) .
    " FROM $from$where";
}

# One query: {query with $n, args, plain}
sub query {
  my $ncols = 1 + num(3);
  my ($sql, @with, $cte);
  my (@values, $counter);

  ($args, $aliases) = (\@values, \$counter);
  $counter = 0;
  if (chance(15)) {
    @with = ('w');
    $cte = 'WITH w AS ' . pick('', 'MATERIALIZED ', 'NOT MATERIALIZED ') . '(' . select_ints(1) . ') ';
  }
  $sql = core(2, $ncols, \@with);
  if (chance(18)) {
    $sql = "($sql) " . pick('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT') .
      ' (' . core(1, $ncols, \@with) . ')';
  }
  if (chance(20)) {
    $sql = "SELECT * FROM ($sql) o ORDER BY " . join(', ', 1 .. $ncols) .
      (chance(70) ? ' LIMIT ' . (1 + num(4)) : '');
  }
  $sql = ($cte // '') . $sql;

  # parameters that were thrown away with what they stood in leave gaps
  my %number;
  my @used;
  $sql =~ s/@(\d)@/push @used, $values[$1 - 1] unless $number{$1}; '@' . ($number{$1} ||= @used) . '@'/ge;
  @values = @used;

  my ($plain, $query) = ($sql, $sql);
  $plain =~ s/@(\d)@/($values[$1 - 1]::int)/g;
  $query =~ s/@(\d)@/\$$1/g;
  return { query => $query, args => [@values], plain => $plain };
}

sub ask {
  my ($q) = @_;
  my $args = join(',', @{ $q->{args} });

  return "SELECT oracle." . (chance(70) || $q->{query} =~ /^WITH/ ? 'ask' : 'hint') .
    "(\$q\$$q->{query}\$q\$, '{$args}', \$q\$$q->{plain}\$q\$)";
}

# ---------------- writes ----------------

sub assignment {
  my $c = pick('k', 'k', 'k', 'g', 'v', 'v', 's', 'n');

  return "$c = ($c + 1) % 5" if $c =~ /[kgv]/ && chance(30);
  return "$c = " . value($c);
}

sub target {
  my $t = pick(@tables);

  return pick(@{ $t->{parts} }) if @{ $t->{parts} } && chance(20);
  return $t->{name};
}

sub simple_condition {
  my $c = pick('id', 'id', 'k', 'g', 'v');

  return "$c = " . value($c);
}

sub write {
  my $t = target();
  my $kind = num(100);

  return "INSERT INTO $t (id, k, g, v, s, n) VALUES " .
    join(', ', map { row() } 0 .. num(2)) . ' ON CONFLICT DO NOTHING' if $kind < 22;
  return "UPDATE $t SET " . assignment() . ' WHERE ' . simple_condition() if $kind < 55;
  return "UPDATE $t SET k = " . value('k') . ', v = v + 1 WHERE ' . simple_condition() if $kind < 63;
  return "UPDATE $t SET k = " . value('k') . ' WHERE k = ' . num(5) if $kind < 71;
  return "DELETE FROM $t WHERE " . simple_condition() if $kind < 79;
  return "INSERT INTO t2 (id, k, g, v, s, n) VALUES " . row() .
    ' ON CONFLICT (id) DO UPDATE SET k = excluded.k, v = t2.v' if $kind < 84;
  return "MERGE INTO t2 USING (VALUES (" . value('id') . ', ' . value('k') . ')) m(id, k) ON m.id = t2.id ' .
    'WHEN MATCHED THEN UPDATE SET k = m.k WHEN NOT MATCHED THEN INSERT VALUES (m.id, m.k, 0)' if $kind < 87;
  return "WITH d AS (DELETE FROM t1 WHERE " . simple_condition() . ' RETURNING *) ' .
    'INSERT INTO t3 (id, k, g, v, s, n) SELECT * FROM d ON CONFLICT DO NOTHING' if $kind < 90;
  return "UPDATE t1 SET k = b.k FROM t2 b WHERE b.id = t1.id AND b." . simple_condition() if $kind < 94;
  return "UPDATE $t SET " . assignment() if $kind < 97;
  return "TRUNCATE $t" if $kind < 98;
  return "INSERT INTO t1 SELECT 100 + i, i, i % 5, 0, 's9', 9 FROM generate_series(1, 300) i ON CONFLICT DO NOTHING"
    if $kind < 99;
  return 'DELETE FROM t1 WHERE id > 100';
}

sub ddl {
  my $t = pick('t1', 't2', 't3');
  my $key = pick('k', 'id', 'g', 's', 'k,g');

  return pick(
    track($t, $key), track($t, $key), untrack($t, $key), untrack($t, $key),
    "ALTER TABLE t1 DISABLE TRIGGER zz_cachekit_keys",
    "ALTER TABLE t1 ENABLE ALWAYS TRIGGER zz_cachekit_keys",
    'ALTER TABLE t3 DETACH PARTITION t3b', 'ALTER TABLE t3 ATTACH PARTITION t3b FOR VALUES IN (2, 3)',
    "CREATE INDEX ON $t (" . pick(@columns) . ')', "ANALYZE $t",
    "ALTER TABLE t2 RENAME k TO kk; ALTER TABLE t2 RENAME g TO k; ALTER TABLE t2 RENAME kk TO g",
    'DROP INDEX IF EXISTS t1_id_k_key', 'ALTER TABLE t1 DROP CONSTRAINT IF EXISTS t1_pkey');
}

sub setting {
  return 'SET ' . pick('enable_seqscan', 'enable_indexscan', 'enable_bitmapscan',
    'enable_indexonlyscan', 'enable_hashjoin', 'enable_mergejoin', 'enable_nestloop',
    'enable_material', 'enable_memoize', 'enable_sort', 'enable_hashagg',
    'enable_partitionwise_join', 'enable_partitionwise_aggregate') . ' = ' . pick('on', 'off')
    if chance(75);
  return 'SET plan_cache_mode = ' . pick('auto', 'force_generic_plan', 'force_custom_plan');
}

1;
