// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Answer, Consent} from "../src/Demands.sol";
import {RECEIPT_TYPEHASH, Receipt, Trade} from "../src/Records.sol";
import {AskedBatch} from "./AskedBatch.sol";
import {Batch} from "./Batch.sol";
import {CrowdBatch} from "./CrowdBatch.sol";

/// What demands and answers cost, each a transaction of its own.
/// forge-config: default.isolate = true
contract DemandsGasTest is AskedBatch, CrowdBatch {
    /// Gas of a block.
    uint256 private constant BLOCK = 10_000_000;

    function setUp() public override(Batch, CrowdBatch) {
        super.setUp();
        deeper = 0;
    }

    function test_gas_of_a_demand_and_its_end() public {
        seal();
        ask(0);
        note("demand", 110_000);
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapse(p, 0);
        note("lapse", 110_000);
    }

    function test_gas_of_a_demanded_order() public {
        seal();
        Receipt memory receipt = Receipt(hashOf(orders[2]), SLOT, 2);
        bytes32 body = keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
        bytes[] memory signatures = quorum(digestOf(body, block.chainid, address(settlement)));
        demands.demandOrder(p, receipt, signatures);
        note("demandOrder", 130_000);
        uint256 snapshot = vm.snapshotState();
        demands.answerOrder(p, receipt, orderSiblings(2));
        note("answerOrder", 80_000);
        vm.assertTrue(vm.revertToState(snapshot));
        vm.warp(END + ANSWER_TIME + 1);
        demands.lapseOrder(p, receipt);
        note("lapseOrder", 110_000);
    }

    function test_gas_of_an_answer_without_a_line() public {
        trades[2].buyer = 0;
        agree();
        rebook();
        seal();
        ask(1);
        demands.answer(p, 1, answerFor(1));
        note("answer without a line", 130_000);
    }

    function test_gas_of_an_answer_without_a_statement() public {
        seal();
        addMembers(1);
        vm.prank(account(1000));
        demands.demand(p, 1000);
        Answer memory a;
        a.siblings = statementSiblings(1000);
        demands.answer(p, 1000, a);
        note("answer without a statement", 80_000);
    }

    function test_gas_of_an_answer_of_100_lines() public {
        measure(100, 100, 0, 100, 2_300_000);
    }

    function test_gas_of_a_part_of_200_lines() public {
        measure(220, 220, 0, 200, 4_400_000);
    }

    function test_gas_of_the_last_200_lines() public {
        measure(220, 220, 20, 220, 4_400_000);
    }

    function test_gas_of_a_part_of_200_lines_under_the_mandate() public {
        measure(220, 0, 0, 200, 1_900_000);
    }

    /// Lines of one plant that sells under one of a day's orders or under its mandate, each trade by order with its own way
    /// to the committed ones.
    /// @param ordered how many of its trades are by order
    function measure(uint32 count, uint256 ordered, uint256 from, uint256 to, uint256 ceiling) private {
        delete trades;
        delete settled;
        for (uint32 i = 0; i < count; ++i) {
            trades.push(Trade(SLOT, 0, i, i % 2, 2, 7, 200_000, 0, 0));
            settled.push(7);
        }
        // 14 levels of trades.
        (committed, more) = (ordered, 14 - depthOf(ordered));
        agree();
        rebook();
        seal();
        ask(2);
        if (from != 0) demands.answer(p, 2, ofDay(partFor(2, 0, from, false)));
        Answer memory a = ofDay(partFor(2, from, to, to == count));
        demands.answer(p, 2, a);
        uint256 least = floorOf(abi.encodeCall(demands.answer, (p, 2, a)));
        uint256 gas = note("answer", ceiling);
        emit log_named_uint("of lines", to - from);
        emit log_named_uint("at least, for its calldata", least);
        vm.assertTrue(gas < BLOCK && least < BLOCK);
    }

    /// A call has a memory of its own, in which the tree does not stay.
    function tradeSiblings(uint256 position) internal view override returns (bytes32[] memory) {
        return this.siblingsOfTrade(position);
    }

    function siblingsOfTrade(uint256 position) external view returns (bytes32[] memory) {
        return super.tradeSiblings(position);
    }

    /// The order is one of 96 of its basket.
    function ofDay(Answer memory a) private view returns (Answer memory) {
        Consent memory consent = a.consents[0];
        if (consent.orderSignature.length == 0) return a;
        (consent.first, consent.count, consent.position) = (SLOT - 50 * SLOT_SECONDS, 96, 50);
        consent.siblings = new bytes32[](7);
        for (uint256 i = 0; i < 7; ++i) {
            consent.siblings[i] = keccak256(abi.encode(i));
        }
        signBasket(consent, agentKey(2));
        return a;
    }

    /// What a transaction pays at least for its data (EIP-7623).
    function floorOf(bytes memory data) private pure returns (uint256) {
        uint256 tokens = 0;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        return 21_000 + 10 * tokens;
    }
}
