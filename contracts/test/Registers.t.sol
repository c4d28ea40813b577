// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {EndsBatch} from "./EndsBatch.sol";

/// Members share what each register counted: import and export are judged apart, and nothing is netted between them.
contract RegistersTest is EndsBatch {
    function byRegisters() internal pure override returns (bool) {
        return true;
    }

    function fresh() private {
        book();
        if (p.slot == 0) seal();
        else restate();
    }

    function tryDelivery(uint32 member, uint64 whIn, uint64 whOut, bool fault) private {
        (readings[member].whIn, readings[member].whOut) = (whIn, whOut);
        fresh();
        if (!fault) expectNoFault(member);
        disputes.challengeDelivery(p, statedOf(member), readings[member]);
        vm.assertTrue(standing() != fault);
    }

    function test_what_is_fixed_is_told() public view {
        vm.assertTrue(disputes.byRegisters());
    }

    function test_each_register_covers_what_is_shared_of_it() public {
        tryDelivery(0, 1750, 9000, false);
        tryDelivery(0, 1749, 0, true);
        tryDelivery(2, 9000, 1250, false);
        tryDelivery(2, 0, 1249, true);
        // Nothing was sold through the one, nor bought through the other.
        (trades[0].buyer, trades[0].seller) = (2, 0);
        tryDelivery(0, 750, 1000, false);
        tryDelivery(0, 750, 999, true);
        tryDelivery(0, 749, 1000, true);
    }

    function test_no_register_forbids_the_other_one_s_direction() public {
        (readings[0].whIn, readings[0].whOut) = (1750, 9000);
        fresh();
        expectNoFault(0);
        disputes.challengeDirection(p, statedOf(0), stepOf(0, 0), readings[0]);
    }

    function test_registers_that_cover_both_orders() public {
        (settled[0], readings[0].whIn, readings[0].whOut) = (500, 2000, 5000);
        (readings[2].whIn, readings[2].whOut) = (5000, 1999);
        fresh();
        expectNoFault(0);
        disputes.challengeCut(p, cutOf(0, 1));
        readings[2].whOut = 2000;
        fresh();
        disputes.challengeCut(p, cutOf(0, 1));
        vm.assertTrue(!standing());
    }
}
