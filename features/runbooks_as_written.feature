Feature: Runbooks as the documents write them
  Each command is run as document 002 has it, in the container that it names; only the cluster's name and the path of Patroni's
  configuration are those of the topology. What it does is the finding, and the scenario beside it has the command that does it.

  # `patronictl remove` takes a whole cluster out of the DCS, and no member's name.
  @documented @runbooks
  @claim:NO-SPLIT-BRAIN
  Scenario: A standby is removed by the document's command
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When 2 s to 3 s have passed
    And an operator runs "patronictl -c /etc/patroni/patroni.yml remove pgquake node3" on "node1"
    And 10 s to 11 s have passed
    Then every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # "Stop node, remove data directory": nothing can be run in a container that is stopped.
  @documented @runbooks
  @claim:NO-SPLIT-BRAIN
  Scenario: A node's data is removed by the document's command
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the fault "container_stop" hits node3
      | service | patroni |
    And an operator runs "rm -rf /var/lib/postgresql/data/*" on "node3"
    And the fault is healed
    And every node has rejoined
    Then every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes

  # "Demote false primary": the command promotes, and says of a primary that it is none that could be.
  @documented @runbooks
  @claim:NO-SPLIT-BRAIN
  Scenario: A primary is demoted by the document's command
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When 2 s to 3 s have passed
    And an operator runs "pg_ctl promote -D /var/lib/postgresql/data" on "node1"
    And 10 s to 11 s have passed
    Then every command of the operator succeeds
    And never do two nodes accept writes

  # What takes a member out of the cluster, and what rebuilds one: the agent is told, and does the rest.
  @runbooks
  @claim:NO-SPLIT-BRAIN
  Scenario: A node is rebuilt by its agent
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When 2 s to 3 s have passed
    And an operator runs "patronictl -c /etc/patroni/patroni.yml reinit pgquake node3 --force --wait" on "node1"
    And every node has rejoined
    Then every command of the operator succeeds
    And no acknowledged write is lost
    And never do two nodes accept writes
