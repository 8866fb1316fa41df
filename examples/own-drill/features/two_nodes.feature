Feature: Our two-node cluster
  Scenario: A standby takes over
    Given the topology "two-nodes"
    And 2 clients writing 20 rows per second each
    When the host of node1 dies
    And clients can write again
    Then node1 is not the primary any more
    And clients can't write for at most 45 s
