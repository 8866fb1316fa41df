Feature: Upgrades under load
  The drill before a release: one node after the other, the standbys first, the primary once it has handed over. While it goes on, both
  versions are one cluster. Each step's outage, its standbys and its versions are a finding of their own.

  # Each agent is restarted as a service manager does it, and takes its PostgreSQL down with it.
  @versions @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: Patroni is upgraded, the standbys first and the primary once it has handed over
    Given the topology "single-region"
    And the version of "patroni" is "4.0"
    And 4 clients writing 25 rows per second each
    When 2 s to 4 s have passed
    And an operator upgrades Patroni on node3 to "4.1"
    And every node has rejoined
    And an operator upgrades Patroni on node2 to "4.1"
    And every node has rejoined
    And an operator switches over to "node2"
    And every node has rejoined
    And clients can write again
    And an operator upgrades Patroni on node1 to "4.1"
    And every node has rejoined
    Then clients can't write for at most 10 s
    And no step of the operator leaves the primary without a standby for more than 5 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # The standbys are of the new version and the primary is of the old one when its host dies; it returns as it was.
  @versions @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies in the middle of an upgrade of Patroni
    Given the topology "single-region"
    And the version of "patroni" is "4.0"
    And 4 clients writing 25 rows per second each
    When an operator upgrades Patroni on node3 to "4.1"
    And every node has rejoined
    And an operator upgrades Patroni on node2 to "4.1"
    And every node has rejoined
    And the host of the primary dies
    And clients can write again
    And the fault "host_crash" is healed
    And every node has rejoined
    And an operator upgrades Patroni on node1 to "4.1"
    And every node has rejoined
    Then clients can't write for at most 60 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

  # What the newer version has written into the DCS and into the nodes' folders is read by the older one.
  @versions @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: An upgrade of Patroni is taken back once the new version has led
    Given the topology "single-region"
    And the version of "patroni" is "4.0"
    And 4 clients writing 25 rows per second each
    When an operator upgrades Patroni on node2 to "4.1"
    And every node has rejoined
    And an operator switches over to "node2"
    And every node has rejoined
    And clients can write again
    And an operator switches over to "node3"
    And every node has rejoined
    And clients can write again
    And an operator upgrades Patroni on node2 to "4.0"
    And every node has rejoined
    Then clients can't write for at most 10 s
    And no step of the operator leaves the primary without a standby for more than 5 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # An agent that is paused leaves PostgreSQL running when it ends, and the leader key to whoever starts in its place.
  @versions @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: Patroni is upgraded while it is paused
    Given the topology "single-region"
    And the version of "patroni" is "4.0"
    And 4 clients writing 25 rows per second each
    When an operator pauses Patroni
    And an operator upgrades Patroni on node3 to "4.1"
    And an operator upgrades Patroni on node2 to "4.1"
    And an operator upgrades Patroni on node1 to "4.1"
    And an operator resumes Patroni
    And every node has rejoined
    Then no step of the operator keeps clients from writing for more than 1 s
    And in every step of the operator at least 2 nodes stream as standbys
    And no step of the operator loses a write
    And no acknowledged write is lost
    And never do two nodes accept writes

  @versions @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: PostgreSQL gets another minor version, the standbys first and the primary once it has handed over
    Given the topology "single-region"
    And the version of "postgresql" is "16.11"
    And 4 clients writing 25 rows per second each
    When an operator upgrades PostgreSQL on node3 to "16.14"
    And every node has rejoined
    And an operator upgrades PostgreSQL on node2 to "16.14"
    And every node has rejoined
    And an operator switches over to "node2"
    And every node has rejoined
    And clients can write again
    And an operator upgrades PostgreSQL on node1 to "16.14"
    And every node has rejoined
    And an operator upgrades PostgreSQL on node3 to "16.11"
    And every node has rejoined
    Then clients can't write for at most 10 s
    And no step of the operator leaves the primary without a standby for more than 5 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # A standby needs at least as many as its primary, so the standbys come first where the number grows.
  @quick @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: A setting is changed that needs a restart, the standbys first and the primary once it has handed over
    Given the topology "single-region-fast"
    And 4 clients writing 25 rows per second each
    When an operator sets "postgresql.parameters.max_connections" to "450"
    And every node waits for a restart
    And an operator restarts PostgreSQL on node3
    And an operator restarts PostgreSQL on node2
    And every node has rejoined
    And an operator switches over to "node2"
    And every node has rejoined
    And clients can write again
    And an operator restarts PostgreSQL on node1
    And every node has rejoined
    And no node waits for a restart
    And an operator runs "test $(psql -Atc 'SHOW max_connections' postgres) = 450" on "node1"
    And an operator runs "test $(psql -Atc 'SHOW max_connections' postgres) = 450" on "node2"
    Then every command of the operator succeeds
    And clients can't write for at most 5 s
    And no step of the operator leaves the primary without a standby for more than 5 s
    And no acknowledged write is lost
    And never do two nodes accept writes

  # The version of the cluster rises with its last member.
  @versions @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: etcd is upgraded one member after the other
    Given the topology "single-region"
    And the version of "etcd" is "3.5"
    And 4 clients writing 25 rows per second each
    When an operator upgrades etcd on node1 to "3.6"
    And 5 s to 6 s have passed
    And an operator upgrades etcd on node2 to "3.6"
    And 5 s to 6 s have passed
    And an operator upgrades etcd on node3 to "3.6"
    And 10 s to 12 s have passed
    Then clients can't write for at most 1 s
    And in every step of the operator at least 2 nodes stream as standbys
    And no acknowledged write is lost
    And never do two nodes accept writes

  # etcd refuses older members once the cluster is newer, until an operator enables the downgrade.
  @versions @upgrades @claim:NO-SPLIT-BRAIN
  Scenario: An upgrade of etcd is taken back by its own procedure
    Given the topology "single-region"
    And the version of "etcd" is "3.6"
    And 4 clients writing 25 rows per second each
    When an operator runs "etcdctl downgrade validate 3.5 && etcdctl downgrade enable 3.5" beside etcd on "node1"
    And 10 s to 12 s have passed
    And an operator upgrades etcd on node3 to "3.5"
    And 5 s to 6 s have passed
    And an operator upgrades etcd on node2 to "3.5"
    And 5 s to 6 s have passed
    And an operator upgrades etcd on node1 to "3.5"
    And 5 s to 6 s have passed
    Then every command of the operator succeeds
    And clients can't write for at most 1 s
    And in every step of the operator at least 2 nodes stream as standbys
    And no acknowledged write is lost
    And never do two nodes accept writes

  # All at once, and without the pause that leaves PostgreSQL running: held to what the paused upgrade keeps.
  @versions @upgrades @control:operator_steps
  Scenario: Patroni is upgraded carelessly, on every node at once
    Given the topology "single-region"
    And the version of "patroni" is "4.0"
    And 4 clients writing 25 rows per second each
    When 2 s to 4 s have passed
    And an operator upgrades Patroni on the nodes to "4.1"
    And every node has rejoined
    Then no step of the operator keeps clients from writing for more than 1 s
    And in every step of the operator at least 2 nodes stream as standbys
