Feature: Two nodes begin timelines of one number
  patroni #2717. Without a shared archive a node that slept through a promotion gives its own timeline the number that
  its peer has used already. Patroni compares numbers, finds them equal, and sees nothing to rewind.

  # Document: none. PostgreSQL's own rule is that a timeline has one beginning; the check `timelines` holds it.
  @nightly @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: The old primary comes back alone after its successor has died
    Given the topology "two-nodes"
    And 4 clients writing 25 rows per second each
    When the service "patroni" on node1 dies
    And another node has taken over
    And clients can write again
    And 3 s to 5 s have passed
    And the host of node2 dies
    And the fault "service_kill" is healed
    And the leader key is gone
    And clients can write again
    And the fault is healed
    Then at most 30 s of acknowledged writes are lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s
