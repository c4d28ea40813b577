// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {Cash} from "../src/Cash.sol";
import {Members} from "../src/Members.sol";
import {Offers} from "../src/Offers.sol";
import {RECOVERY_TYPEHASH, Reading, Recovery} from "../src/Records.sol";
import {HookToken, OffersBase, Robber} from "./OffersBase.sol";

contract OffersTest is OffersBase {
    function test_energy_is_sold_delivered_and_paid() public {
        Offers.Offer memory o = sold(3000, 200_000);
        vm.assertEq(token.balanceOf(address(offers)), 600_000 * LANE_UNIT);
        vm.assertEq(token.balanceOf(account(BUYER)), 0);
        vm.warp(END);
        release(o, 3500);
        vm.assertEq(fetch(BUYER, o), 0);
        vm.assertEq(fetch(SELLER, o), 600_000 * LANE_UNIT);
        vm.assertEq(fetch(SELLER, o), 0);
        vm.assertEq(token.balanceOf(address(offers)), 0);
    }

    /// The table of Kang et al. (2018): a prosumer sets the price 100 for 4000 units; 99 is no match, 100 and 150 are,
    /// both at 100.
    function test_kang_s_three_purchases() public {
        Offers.Offer memory o = post(offer(4000, 100));
        vm.expectRevert(abi.encodeWithSelector(Offers.PriceAboveLimit.selector, 100, 99));
        vm.prank(account(BUYER));
        offers.buy(o, 99);
        mint(account(BUYER), 800 * LANE_UNIT);
        vm.prank(account(BUYER));
        token.approve(address(offers), 800 * LANE_UNIT);
        vm.prank(account(BUYER));
        offers.buy(o, 100);
        vm.assertEq(token.balanceOf(address(offers)), 400 * LANE_UNIT);
        o.nonce = 1;
        post(o);
        vm.prank(account(BUYER));
        offers.buy(o, 150);
        vm.assertEq(token.balanceOf(address(offers)), 800 * LANE_UNIT);
    }

    function test_payment_and_refund_follow_the_energy_delivered(uint64 wh, uint64 price, uint64 whOut) public {
        wh = wh == 0 ? 1 : wh;
        Offers.Offer memory o = sold(wh, price);
        uint256 payment = offers.paymentOf(wh, price);
        vm.warp(END);
        release(o, whOut);
        uint256 paid = offers.paymentOf(whOut < wh ? whOut : wh, price);
        vm.assertEq(fetch(SELLER, o), paid);
        vm.assertEq(fetch(BUYER, o), payment - paid);
        vm.assertEq(token.balanceOf(address(offers)), 0);
    }

    function test_the_same_energy_is_paid_once() public {
        Offers.Offer memory first = sold(3000, 1000);
        Offers.Offer memory second = Offers.Offer(SELLER, SLOT, 3000, 1000, 1);
        buy(post(second));
        vm.warp(END);
        release(first, 4000);
        Reading memory same = reading(4000);
        bytes memory signed = signature(meterKey(SELLER), digestOf(same));
        vm.expectRevert(abi.encodeWithSelector(Offers.NotSold.selector, offers.idOf(first)));
        release(first, same, signed);
        // A newer reading of the slot counts the same energy.
        Reading memory newer = reading(4000);
        newer.sequence = 2;
        release(second, newer, signature(meterKey(SELLER), digestOf(newer)));
        vm.assertEq(deliveredOf(first), 3000);
        vm.assertEq(deliveredOf(second), 1000);
        vm.assertEq(fetch(BUYER, second), 2000 * LANE_UNIT);
        vm.assertEq(offers.paidWh(SELLER, SLOT), 4000);
    }

    function test_without_a_reading_the_buyer_gets_everything_back() public {
        Offers.Offer memory o = sold(3000, 1000);
        vm.warp(END + PATIENCE);
        vm.expectRevert(abi.encodeWithSelector(Offers.NotYetRefundable.selector, SLOT, END + PATIENCE));
        offers.refund(o);
        vm.warp(END + PATIENCE + 1);
        Reading memory r = reading(3000);
        bytes memory signed = signature(meterKey(SELLER), digestOf(r));
        vm.expectRevert(abi.encodeWithSelector(Offers.TooLate.selector, SLOT, END + PATIENCE));
        release(o, r, signed);
        offers.refund(o);
        vm.assertEq(fetch(BUYER, o), 3000 * LANE_UNIT);
        vm.expectRevert(abi.encodeWithSelector(Offers.NotSold.selector, offers.idOf(o)));
        offers.refund(o);
        for (uint32 member = 0; member < 3; ++member) {
            vm.expectRevert(abi.encodeWithSelector(Offers.NothingToFetch.selector, member));
            vm.prank(account(member));
            offers.fetch(list(o));
        }
    }

    function test_no_offer_is_sold_twice_and_a_sold_one_is_not_cancelled() public {
        Offers.Offer memory o = sold(3000, 1000);
        bytes memory reason = abi.encodeWithSelector(Offers.NotForSale.selector, offers.idOf(o));
        vm.expectRevert(reason);
        vm.prank(account(2));
        offers.buy(o, 1000);
        vm.expectRevert(reason);
        vm.prank(account(SELLER));
        offers.cancel(o);
        vm.expectRevert(abi.encodeWithSelector(Offers.InvalidOffer.selector, offers.idOf(o)));
        post(o);
    }

    function test_the_seller_cancels_what_nobody_bought() public {
        Offers.Offer memory o = post(offer(3000, 1000));
        vm.expectRevert(abi.encodeWithSelector(Offers.NotTheSeller.selector, BUYER, SELLER));
        vm.prank(account(BUYER));
        offers.cancel(o);
        vm.prank(account(SELLER));
        offers.cancel(o);
        vm.expectRevert(abi.encodeWithSelector(Offers.NotForSale.selector, offers.idOf(o)));
        vm.prank(account(BUYER));
        offers.buy(o, 1000);
        buy(post(o));
    }

    function test_a_hundred_offers_are_traded_in_one_block() public {
        Offers.Offer memory o = offer(10, 1000);
        for (o.nonce = 0; o.nonce < 100; ++o.nonce) {
            buy(post(o));
        }
        vm.warp(END);
        for (o.nonce = 0; o.nonce < 100; ++o.nonce) {
            release(o, 1000);
        }
        Offers.Offer[] memory all = new Offers.Offer[](100);
        for (uint64 i = 0; i < 100; ++i) {
            all[i] = Offers.Offer(SELLER, SLOT, 10, 1000, i);
        }
        vm.prank(account(SELLER));
        offers.fetch(all);
        vm.assertEq(token.balanceOf(account(SELLER)), 1000 * LANE_UNIT);
        vm.assertEq(token.balanceOf(address(offers)), 0);
    }

    function test_times_are_kept() public {
        Offers.Offer memory o = post(offer(3000, 1000));
        Offers.Offer memory odd = Offers.Offer(SELLER, SLOT + 1, 1, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(Offers.SlotMisaligned.selector, SLOT + 1, SLOT_SECONDS));
        post(odd);
        vm.warp(SLOT);
        vm.expectRevert(abi.encodeWithSelector(Offers.SlotStarted.selector, SLOT));
        vm.prank(account(BUYER));
        offers.buy(o, 1000);
        o.nonce = 1;
        vm.expectRevert(abi.encodeWithSelector(Offers.SlotStarted.selector, SLOT));
        post(o);
        vm.warp(SLOT - 1);
        buy(post(o));
        vm.warp(END - 1);
        Reading memory r = reading(3000);
        bytes memory signed = signature(meterKey(SELLER), digestOf(r));
        vm.expectRevert(abi.encodeWithSelector(Offers.SlotNotOver.selector, SLOT, END));
        release(o, r, signed);
        vm.expectRevert(abi.encodeWithSelector(Offers.NotClosed.selector, offers.idOf(o)));
        vm.prank(account(SELLER));
        offers.fetch(list(o));
        vm.expectRevert(abi.encodeWithSelector(Offers.NoPatience.selector));
        new Offers(settlement, 0);
    }

    function test_only_active_members_trade_and_only_for_themselves() public {
        Offers.Offer memory o = offer(3000, 1000);
        vm.expectRevert(abi.encodeWithSelector(Offers.NotTheSeller.selector, BUYER, SELLER));
        vm.prank(account(BUYER));
        offers.post(o);
        vm.expectRevert(abi.encodeWithSelector(Members.NotAMember.selector, address(99)));
        vm.prank(address(99));
        offers.post(o);
        post(o);
        vm.prank(account(2));
        community.resign();
        vm.expectRevert(abi.encodeWithSelector(Members.NotActive.selector, 2));
        vm.prank(account(2));
        offers.buy(o, 1000);
        buy(o);
        vm.warp(END);
        Reading memory r = reading(3000);
        bytes memory signed = signature(meterKey(SELLER), digestOf(r));
        vm.expectRevert(abi.encodeWithSelector(Offers.NotTheSeller.selector, BUYER, SELLER));
        vm.prank(account(BUYER));
        offers.release(o, r, signed);
    }

    function test_readings_of_another_slot_meter_or_hand_release_nothing() public {
        Offers.Offer memory o = sold(3000, 1000);
        vm.warp(END);
        Reading memory r = reading(3000);
        r.slot = SLOT - SLOT_SECONDS;
        bytes memory signed = signature(meterKey(SELLER), digestOf(r));
        vm.expectRevert(abi.encodeWithSelector(Offers.WrongSlot.selector, r.slot, SLOT));
        release(o, r, signed);

        (r.slot, r.meter) = (SLOT, vm.addr(meterKey(BUYER)));
        signed = signature(meterKey(BUYER), digestOf(r));
        vm.expectRevert(abi.encodeWithSelector(Offers.WrongMeter.selector, r.meter, SELLER));
        release(o, r, signed);

        r = reading(3000);
        signed = signature(0xBAD, digestOf(r));
        vm.expectRevert(abi.encodeWithSelector(Offers.WrongSignature.selector, vm.addr(0xBAD), r.meter));
        release(o, r, signed);
    }

    function test_readings_count_for_one_settlement_on_one_chain_and_have_one_form() public {
        Offers.Offer memory o = sold(3000, 1000);
        vm.warp(END);
        Reading memory r = reading(3000);
        (uint8 v, bytes32 low, bytes32 s) = vm.sign(meterKey(SELLER), digestOf(r));
        bytes memory signed = abi.encodePacked(low, s, v);
        s = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        bytes memory high = abi.encodePacked(low, s, v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));
        release(o, r, high);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 0));
        release(o, r, "");
        checkRefused(o, r, signature(meterKey(SELLER), digestOf(keccak256("reading"), block.chainid, address(offers))));
        vm.chainId(block.chainid + 1);
        checkRefused(o, r, signed);
        vm.chainId(block.chainid - 1);
        release(o, r, signed);
    }

    /// Over other content a signature recovers to some address or other.
    function checkRefused(Offers.Offer memory o, Reading memory r, bytes memory signed) private {
        vm.prank(account(SELLER));
        try offers.release(o, r, signed) {
            vm.assertTrue(false);
        } catch {
            vm.assertEq(fetch(SELLER, o), 0);
        }
    }

    function test_a_meter_or_member_revoked_in_the_middle_of_the_slot_holds_no_money_back() public {
        Offers.Offer memory o = sold(3000, 1000);
        vm.warp(SLOT + 1);
        vm.prank(account(SELLER));
        community.resign();
        vm.prank(account(BUYER));
        community.resign();
        vm.prank(operator);
        community.revokeMeter(vm.addr(meterKey(SELLER)));
        vm.warp(END);
        Reading memory r = reading(3000);
        release(o, r, signature(meterKey(SELLER), digestOf(r)));
        vm.assertEq(fetch(SELLER, o), 3000 * LANE_UNIT);
    }

    function test_a_buyer_that_lost_its_key_gets_its_money_back() public {
        Offers.Offer memory o = sold(3000, 1000);
        Recovery memory request = Recovery(BUYER, address(0x77), 0);
        bytes32 body = keccak256(abi.encode(RECOVERY_TYPEHASH, BUYER, address(0x77), uint64(0)));
        community.startRecovery(request, quorum(digestOf(body, block.chainid, address(community))));
        vm.warp(END + 7 days);
        community.recover(BUYER);
        offers.refund(o);
        vm.prank(address(0x77));
        offers.fetch(list(o));
        vm.assertEq(token.balanceOf(address(0x77)), 3000 * LANE_UNIT);
    }

    function test_an_offer_is_over_some_energy() public {
        Offers.Offer memory o = offer(0, 1000);
        vm.expectRevert(abi.encodeWithSelector(Offers.InvalidOffer.selector, offers.idOf(o)));
        post(o);
    }

    function test_the_largest_offer_is_traded_and_a_present_too() public {
        Offers.Offer memory largest = sold(type(uint64).max, type(uint64).max);
        uint256 payment = offers.paymentOf(largest.wh, largest.price);
        Offers.Offer memory present = Offers.Offer(SELLER, SLOT, 1, 0, 7);
        buy(post(present));
        vm.warp(END);
        release(largest, type(uint64).max);
        // Nothing is left for the present.
        release(present, type(uint64).max);
        vm.assertEq(fetch(SELLER, largest), payment);
        vm.assertEq(deliveredOf(present), 0);
    }

    // The asset

    function test_ether_must_match_exactly_and_comes_back() public {
        inAsset(IERC20(address(0)), 1e12);
        Offers.Offer memory o = post(offer(3000, 1000));
        vm.deal(account(BUYER), 1 ether);
        uint256 payment = 3000 * 1e12;
        vm.expectRevert(abi.encodeWithSelector(Cash.WrongAmount.selector, payment - 1, payment));
        vm.prank(account(BUYER));
        offers.buy{value: payment - 1}(o, 1000);
        vm.prank(account(BUYER));
        offers.buy{value: payment}(o, 1000);
        vm.warp(END);
        release(o, 1000);
        vm.prank(account(SELLER));
        offers.fetch(list(o));
        vm.prank(account(BUYER));
        offers.fetch(list(o));
        vm.assertEq(account(SELLER).balance, 1000 * 1e12);
        vm.assertEq(account(BUYER).balance, 1 ether - 1000 * 1e12);
    }

    function test_ether_has_no_place_beside_a_token_and_a_fee_is_refused() public {
        Offers.Offer memory o = post(offer(3000, 1000));
        vm.deal(account(BUYER), 1);
        vm.expectRevert(abi.encodeWithSelector(Cash.WrongAmount.selector, 1, 0));
        vm.prank(account(BUYER));
        offers.buy{value: 1}(o, 1000);
        HookToken hook = new HookToken();
        hook.mint(account(BUYER), 3000);
        hook.setFee(1);
        inAsset(hook, 1);
        post(o);
        vm.prank(account(BUYER));
        hook.approve(address(offers), 3000);
        vm.expectRevert(abi.encodeWithSelector(Cash.WrongAmount.selector, 2999, 3000));
        vm.prank(account(BUYER));
        offers.buy(o, 1000);
    }

    function robberIn(IERC20 asset) private returns (Robber robber) {
        robber = new Robber(offers, asset);
        (address[] memory who, Members.Role[] memory roles) = (new address[](1), new Members.Role[](1));
        (who[0], roles[0]) = (address(robber), Members.Role.Consumer);
        vm.prank(operator);
        community.register(who, new address[](1), roles);
    }

    /// @param value ether to send along
    function rob(Robber robber, Offers.Offer memory o, uint256 value) private {
        bytes memory purchase = abi.encodeCall(Offers.buy, (o, o.price));
        bool done = robber.run{value: value}(purchase, purchase);
        vm.assertTrue(done);
        vm.warp(END + PATIENCE + 1);
        offers.refund(o);
        done = robber.run(abi.encodeCall(Offers.fetch, (list(o))), abi.encodeCall(Offers.fetch, (list(o))));
        vm.assertTrue(done);
        vm.assertEq(robber.successes(), 0);
    }

    function test_tokens_are_not_fetched_twice_from_within_a_transfer() public {
        HookToken hook = new HookToken();
        inAsset(hook, 1);
        hook.mint(address(offers), 5000);
        Robber robber = robberIn(hook);
        hook.mint(address(robber), 3000);
        rob(robber, post(offer(3000, 1000)), 0);
        vm.assertEq(robber.attempts(), 2);
        vm.assertEq(hook.balanceOf(address(robber)), 3000);
        vm.assertEq(hook.balanceOf(address(offers)), 5000);
    }

    function test_ether_is_not_fetched_twice_from_within_a_transfer() public {
        inAsset(IERC20(address(0)), 1);
        vm.deal(address(offers), 5000);
        vm.deal(address(this), 3000);
        Robber robber = robberIn(IERC20(address(0)));
        rob(robber, post(offer(3000, 1000)), 3000);
        vm.assertEq(robber.attempts(), 1);
        vm.assertEq(address(robber).balance, 3000);
    }
}
