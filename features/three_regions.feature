Feature: Three regions in a chain
  Document 001, architecture 4: each region is a standby cluster of the one before it. The last one depends on the middle one,
  which is no primary, and nothing leads it past it.

  # What the loss of the middle region does: nothing to writers, and the last region gets nothing until the middle is back.
  # All regions share this machine's disk: when one boots and syncs its data, commits of the others wait for a second or two.
  @documented @three_regions
  @claim:A4-CASCADE-3 @claim:NO-SPLIT-BRAIN
  Scenario: The middle region loses power, and the last one follows again when it is back
    Given the topology "three-region-cascade"
    And 4 clients writing 25 rows per second each
    When region us-west-2 loses power
    And 20 s to 22 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 5 s
    And no acknowledged write is lost
    And standbys of the region that follows stream from its leader
    And the region that follows accepts no write

  # The last region follows the middle one through its promotion, onto the new timeline.
  @documented @three_regions
  @claim:REGION-RTO @claim:REGION-RPO @claim:NO-SPLIT-BRAIN
  Scenario: The first region is lost, the middle one is promoted, and the last one goes on following it
    Given the topology "three-region-cascade"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And the cluster "east" is given up
    Then never do two nodes accept writes
